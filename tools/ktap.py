# SPDX-License-Identifier: GPL-2.0
"""Count test results in KTAP, with the kernel's own kunit.py."""

import json
import re

from common import output
from log import STAMP
from table import Counts


def count(tree, log):
    """Count the test cases in the file `log`, and return the Counts, and the failed ones with their lines as text."""
    results = log.with_suffix(".json")
    results.unlink(missing_ok=True)
    parse = output(["python3", "tools/testing/kunit/kunit.py", "parse", "--failed", f"--json={results}", log],
                   cwd=tree.src)
    if not results.exists():
        return Counts(failed=1), parse.stdout
    cases = json.loads(results.read_text())["misc"]
    # An error in the KTAP itself, such as a missing result, need not be a failed test case.
    failed = cases["failed"] + cases["crashed"] or min(cases["errors"], 1)
    return Counts(cases["passed"], failed, cases["skipped"]), failures(parse.stdout)


def failures(text):
    """Return the output of kunit.py about failed test cases, without its clock, rulers and summary."""
    lines = [re.sub(r"^\[\d\d:\d\d:\d\d\] ", "", line).rstrip() for line in text.splitlines()]
    lines = [line for line in lines if line and not re.match(r"={60}|Testing complete|Test results stored", line)]
    # A test without a result has no name, either.
    missing = lines.count("[CRASHED]")
    lines = [line for line in lines if line != "[CRASHED]"]
    return "\n".join(lines + [f"results that are missing: {missing}"] * bool(missing))


def without_stamps(text):
    """Return the KTAP in a kernel log, without the time that begins each line."""
    return "\n".join(line[STAMP.match(line).end():].rstrip() for line in text.splitlines())


def listed(text):
    """Return the test cases in the log of a boot with kunit.action=list, each with its suite: suite.test."""
    return re.findall(r"^\w+\.\w+$", without_stamps(text), re.M)


def plan_problem(text):
    """Return a problem with the plan at the top level of KTAP `text`, which kunit.py does not check."""
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    results = re.findall(r"^(?:not )?ok \d+", text, re.M)
    if not plan:
        return "no KTAP plan"
    if len(results) != int(plan[1]):
        return f"{plan[1]} tests planned, {len(results)} run"
    return None


def last_started(text):
    """Return the test of a scenario that started last and has no result in the KTAP `text`, or None."""
    name = None
    for line in text.splitlines():
        started = re.match(r"\s*#\s+RUN\s+(.*?)(?: \.\.\.)?$", line)
        if started:
            name = started[1]
        elif re.match(r"\s*(?:not )?ok \d", line):
            name = None
    return name


def not_ended(text, names):
    """Return the KUnit tests of `names`, in order, that may have been running when the kernel log `text` ended.

    KUnit prints nothing when a test starts. The kernel holds a result back until it prints the next line, so that the
    result of the last test to end may be missing: then there are two.
    """
    ended, suite, certain = None, None, False
    for line in without_stamps(text).splitlines():
        found = re.match(r" {4}# Subtest: (\w+)", line)
        if found:
            suite = found[1]
        result = re.match(r" {4}(?:not )?ok \d+ (\w+)", line)
        # The attribute comes before the result, but not for every test.
        attribute = re.match(r" {4}# (\w+)\.speed: ", line)
        if suite and (result or attribute):
            ended = f"{suite}.{(result or attribute)[1]}"
        certain = bool(attribute)
    first = names.index(ended) + 1 if ended in names else 0
    return names[first:first + (1 if certain else 2)]
