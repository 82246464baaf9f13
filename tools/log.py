# SPDX-License-Identifier: GPL-2.0
"""Judge a kernel log: every report in it that no test announced is a failure.

If a test provokes a report on purpose, it announces the report in the kernel log, and ends the announcement afterwards:

    expect-report: 1 BUG: sleeping function called
    ...
    expect-report: end

In between, there must be exactly that many reports with that text in their header. Several announcements may be open at
the same time. `end` closes all of them.
"""

import pathlib
import re

from common import arguments, main

# The first line of a report.
HEADER = re.compile("|".join([
    r"\bBUG: ", r"\bWARNING: ", r"kernel BUG at ", r"-\[ cut here \]-", r"\bOops: ", r"Kernel panic - ",
    r"general protection fault", r"Unable to handle", r"\bpanicked at ", r"DEBUG_LOCKS_WARN_ON",
    r"INFO: (task .* blocked|lockdep is turned off|trying to register|rcu_|NMI handler)", r"rcu: .*\bstall",
    r"soft lockup", r"hard LOCKUP", r"\bK[AC]SAN: ", r"\bUBSAN: ", r"\bKFENCE: ",
    r"unreferenced object", r"kmemleak: (\d+ new|.*disabled)", r"page_owner",
    r"refcount_t: ", r"list_(add|del) corruption", r"sysfs: cannot create duplicate", r"page allocation failure",
    r"possible (circular|recursive) locking", r"inconsistent lock state", r"bad unlock balance", r"held lock freed",
    r"still has locks held", r"suspicious RCU usage", r"Invalid wait context",
    r"Segmentation fault", r"\bsegfault\b", r"Call [Tt]race:",
]))

# Lines that begin a report only if they are outside of one.
INSIDE = re.compile(r"Call [Tt]race:|\bOops: |INFO: lockdep is turned off|general protection fault|page_owner")

# A report of one line, without a call trace.
SINGLE = re.compile(r"kmemleak: |INFO: lockdep is turned off|Segmentation fault|segfault")

# Call traces that are no report: the OOM killer at work, and its reaper that gives up.
HARMLESS = re.compile(r"invoked oom-killer: |oom_reaper: unable to reap")

# A line that the kernel could not finish, and its message before it writes the line again.
REPLAYED = re.compile(r".*\n\*\* replaying previous printk message \*\*\r?\n")

ANNOUNCE = re.compile(r"expect-report: (.*)")
STAMP = re.compile(r"(<\d+>)?(\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?)?")
RESULT = re.compile(r"\s*(not )?ok \d+ ")
TRACE = re.compile("Call [Tt]race:")    # arm64 writes it small
FRAME = re.compile(r"\s*(\[<?[0-9a-f]+>?\]|\?|</?[A-Z]+>|[\w.$]+\+0x)")

BODY_LIMIT = 200    # lines after a header in which its call trace has to begin
SHOWN = 30          # lines of a report that are printed


class Report:
    def __init__(self, line, announced):
        self.header = line
        self.lines = [line]
        self.announced = announced
        self.length = 0
        self.in_header = "cut here" in line
        self.tracing = bool(TRACE.search(line))
        self.tagged = False

    def add(self, text):
        """Take the next line of the log, and return whether the report continues after it."""
        self.length += 1
        self.lines.append(text)
        if self.in_header:
            # The text of a warning comes between "cut here" and the place.
            self.header += "\n" + text
            self.in_header = not re.match(r"WARNING: |kernel BUG at ", text) and self.length < 20
        if not self.tracing:
            self.tracing = bool(TRACE.search(text))
            return self.length < BODY_LIMIT
        self.tagged = self.tagged or "<TASK>" in text
        if self.tagged:
            return "</TASK>" not in text
        return bool(FRAME.match(text))


class Announcement:
    def __init__(self, count, text):
        self.count, self.text, self.seen = count, text, 0


def judge(log):
    """Return the problems in the text of a kernel log, each with its lines; none if the log is as announced."""
    return judged(log)[0]


def reports(log):
    """Return the reports in the text of a kernel log."""
    return judged(log)[1]


def judged(log):
    """Return the problems in the text of a kernel log, as text, and all reports in it."""
    problems, reports, announced, announcements = [], [], [], []
    unfinished = []     # reports whose last line is still to come; one can stand inside another
    for line in REPLAYED.sub("", log).splitlines():
        text = line[STAMP.match(line).end():].rstrip()
        announce = ANNOUNCE.search(text)
        if announce:
            unfinished = []
            words = announce[1].strip()
            match = re.fullmatch(r"([1-9]\d*) (.+)", words)
            if match:
                announced = announced + [Announcement(int(match[1]), match[2])]
                announcements.append(announced[-1])
            elif words == "end" and announced:
                announced = []
            else:
                problems.append(f"not an announcement (expect-report: N TEXT) or nothing to end: {text}")
        elif HARMLESS.search(text):
            unfinished.append(Report(text, None))
        elif begins_report(text, unfinished):
            reports.append(Report(text, announced))
            if not SINGLE.search(text):
                unfinished.append(reports[-1])
        elif unfinished and not unfinished[-1].add(text):
            unfinished.pop()
    for announcement in announced:
        problems.append(f"announced and not ended: {announcement.text}")
    for report in reports:
        matching = [a for a in report.announced if a.text in report.header]
        if matching:
            next((a for a in matching if a.seen < a.count), matching[0]).seen += 1
        else:
            problems.append("unexpected report:\n" + "\n".join(report.lines[:SHOWN]))
    for announcement in announcements:
        if announcement.seen != announcement.count:
            problems.append(f"expected {announcement.count} of '{announcement.text}', saw {announcement.seen}")
    return problems, reports


def announcements(text):
    """Return the reports that tests announced in a kernel log."""
    return [words for words in ANNOUNCE.findall(text) if words.strip() != "end"]


def begins_report(text, unfinished):
    if not HEADER.search(text) or RESULT.match(text):
        return False
    return not unfinished or not (unfinished[-1].in_header or INSIDE.search(text))


def run(file):
    problems = judge(file.read_text(errors="replace"))
    print("\n\n".join(problems) or "the log is clean")
    return bool(problems)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("file", type=pathlib.Path, help="the log of a kernel")
    main(run, parser)
