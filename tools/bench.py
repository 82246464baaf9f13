# SPDX-License-Identifier: GPL-2.0
"""What everything here costs beside the same thing in C: `make bench`, or one of CASES with CASE=.

Instructions are counted by QEMU's -icount, which has the guest's clock advance by a nanosecond with each: the counts
are the same in every run, and on every machine. The kernel is built twice, with the C helpers inlined into Rust and
without. User-mode Linux gives nanoseconds, which are never the same.
"""

import argparse
import fnmatch
import json
import math
import pathlib
import re

import chart
import guest
import ktap
import log
from build import bindgen, build
from common import Failure, arguments, main, output
from initramfs import initramfs
from objcode import PROBE, functions, nothing_left, text_size
from tree import prepared

SUITE = "mmu_notifier_bench"
# Each is a KUnit test in bench/bench.c, but for the last, which is tests/bench/bench.sh.
MIRROR = "mirror"
CASES = ["memory", "section", "callback_interval", "callback_two_pass", "callback_list", "callback_counted",
         "callback_arch", "readers", "get_put", "find", "register_interval", "register_list", "invalidate", MIRROR]

# One CPU, on which nothing depends on the host; its clock jumps when there is nothing to do.
COUNTING = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1", "-rtc", "clock=vm",
            "-cpu", "max,-rdrand,-rdseed"]
# A cycle is a nanosecond is an instruction, a grace period takes work instead of time, and programs are always at the
# same addresses.
APPEND = ["tsc_early_khz=1000000", "rcupdate.rcu_expedited=1", "norandmaps"]

INLINED, CALLS, TIME = "bench", "bench-calls", "bench-uml"
# What Rust/C is to be at most, for callbacks without the core.
LIMITS = {INLINED: 1.00, CALLS: 1.05}

CALLBACKS = {
    "section": "a non-blocking section",
    "interval-invalidate": "interval: invalidate",
    "interval-nonblock": "interval: try_invalidate",
    "interval-refused": "interval: try_invalidate that refuses",
    "two-pass-invalidate": "two passes: start and finish",
    "two-pass-nonblock": "two passes: try_invalidate",
    "list-start": "list: start",
    "list-try-start": "list: try_start",
    "list-start-end": "list: start and end",
    "list-try-start-end": "list: try_start and end",
    "list-clear-flush-young": "list: clear_flush_young",
    "list-clear-young": "list: clear_young",
    "list-test-young": "list: test_young",
    "arch-invalidate": "list: arch_invalidate",
}
OPERATIONS = {
    "read": "read_begin and lock",
    "read-collision": "the same, and an invalidation between",
    "interval-insert": "interval: register",
    "interval-remove": "interval: remove",
    "list-register": "list: register",
    "list-unregister": "list: unregister",
    "get-put-first": "shared: get and put, the first",
    "get-put-again": "shared: get and put, one more",
    "mirror-fault": "mirror: look a page up",
    "mirror-read": "mirror: read a page",
    "mirror-drop": "mirror: let go of a page, madvise",
    "reap": "mirror: let go of a page, mrelease",
}
PATHS = {
    "find": "one of many through the core",
    "invalidate": "through the core",
    "madvise": "madvise",
    "mprotect": "mprotect",
    "munmap": "munmap",
}
UNITS = {4096: "4 KiB", 1 << 21: "2 MiB", 1 << 30: "1 GiB"}

# A time that spreads more than that tells nothing.
NOISE = 0.25
# In nanoseconds: a clock may have steps of 10, and is read twice for what is measured and twice for the loop around it.
STEPS = 40

# Where it is more: letters of FOOTNOTES, and what it is at most then.
EXCEPTIONS = {
    "interval-refused": ("b", {INLINED: 1.00, CALLS: 1.06}),
    "two-pass-invalidate": ("abc", {INLINED: 1.06, CALLS: 1.35}),
    "two-pass-nonblock": ("bc", {INLINED: 1.00, CALLS: 1.11}),
    "list-start-end": ("bc", {INLINED: 1.00, CALLS: 1.26}),
    "list-try-start-end": ("bc", {INLINED: 1.00, CALLS: 1.26}),
    "list-clear-flush-young": ("bc", {INLINED: 1.00, CALLS: 4.50}),
    "list-clear-young": ("bc", {INLINED: 1.00, CALLS: 4.50}),
    "list-test-young": ("bc", {INLINED: 1.00, CALLS: 8.00}),
    "arch-invalidate": ("c", {INLINED: 1.00, CALLS: 3.50}),
    "mirror-fault": ("d", {}),
    "interval-insert": ("e", {}),
    "interval-remove": ("e", {}),
    "list-register": ("e", {}),
    "list-unregister": ("e", {}),
    "get-put-first": ("e", {}),
}
FOOTNOTES = {
    "a": "Whether there is a token is kept outside of the driver's lock, of which the kernel crate knows nothing: one\n"
         "      value more than there are registers for.",
    "b": "Not inlined: rustc aligns the stack to 16 bytes, which takes two instructions, where C has it at 8.",
    "c": "Not inlined: spin_lock(), spin_unlock() and each atomic operation are calls of C helpers.",
    "d": "Not in the notifier: the driver finds the entry again that it has entered, and KBox and XArray do more than\n"
         "      kmalloc() and xa_store().",
    "e": "A notifier in Rust holds a reference to the module of its callbacks, and has to see whether they are in one.",
}
MEMORY = """An interval notifier in Rust has 16 bytes more: the address of its lock, for which Operations::lock() is
  asked only once, and the number that tells its stamps from those of others."""

COST = re.compile(r"cost: case=(\S+) bytes=(\d+) hits=(\d+) others=(\d+) who=(\w+) batch=(\d+) "
                  r"q1=(\d+) median=(\d+) q3=(\d+)")
SIZE = re.compile(r"size: who=(\w+) (.*)")
STORY = re.compile(r"who=(\w+)\n# story .* cycles=(\d+)")
STORY_PAGES = 8192

# What the callbacks of the Rust twin may call, which does not include an allocation.
CALLED = re.compile(r"mutex_(try)?(un)?lock|_raw_spin_(un)?lock|__x86_return_thunk|rust_helper_\w+")


class Costs:
    """What one kernel said: {(case, bytes, hits, others): {who: quartiles}}, each for one time."""

    def __init__(self, text):
        self.raw = {}
        self.batch = {}
        for case, size, hits, others, who, batch, *quartiles in COST.findall(text):
            key = case, int(size), int(hits), int(others)
            self.raw.setdefault(key, {})[who] = [int(n) / int(batch) for n in quartiles]
            self.batch[key] = int(batch)
        for who in sorted({who for who, _ in STORY.findall(text)}):
            cycles = sorted(int(cycles) / STORY_PAGES for name, cycles in STORY.findall(text) if name == who)
            key = "reap", STORY_PAGES * 4096, 1, 0
            self.raw.setdefault(key, {})[who] = [cycles[len(cycles) * i // 4] for i in (1, 2, 3)]
        self.sizes = {who: {kind: int(size) for kind, size in re.findall(r"(\w+)=(\d+)", said)}
                      for who, said in SIZE.findall(text)}

    def whole(self, key, who):
        """What it cost, without the loop around it."""
        raw = self.raw[key]
        return raw[who][1] - (raw["loop"][1] if "loop" in raw else 0)

    def own(self, key, who):
        """What it cost without the core: the callback."""
        return self.raw[key][who][1] - self.raw[key]["core"][1]

    def spread(self, key):
        """How far apart times are in parts of the cost, of C or Rust, whichever is larger: the quartiles or the clock."""
        steps = STEPS / self.batch[key]
        return max(max(self.raw[key][who][2] - self.raw[key][who][0], steps) / max(self.whole(key, who), 1)
                   for who in ("c", "rust"))


def ratio(rust, c):
    """Rust/C, or None if it costs nothing in either. What costs nothing in C counts as one."""
    return rust / (c or 1) if rust or c else None


def number(value):
    return f"{value:.1f}" if value < 1000 and value != int(value) else f"{value:.0f}"


def share(value):
    return "-" if value is None else f"{value:.2f}"


def boot(tree, name, tests, scenario):
    """Boot configuration `name`, and return what it said."""
    obj = build(tree, name)
    append = ["kunit.enable=1", f"kunit.filter_glob={SUITE}.{tests}"] if tests else ["kunit.enable=0"]
    folder = tree.results / name

    def status(run):
        said = run.console.read_text(errors="replace") if run.console.exists() else ""
        return f"{len(COST.findall(said)) // 4} cases measured"

    if name == TIME:
        run = guest.uml(name, obj, folder, [*append, "kunit_shutdown=halt"], 900, status)
    else:
        append += [*APPEND, "scenario=bench" if scenario else "kunit_shutdown=reboot"]
        run = guest.qemu(name, obj, folder, append, 900, initrd=initramfs(tree, obj), machine=COUNTING,
                         status=status)
    said = run.console.read_text(errors="replace").replace("\r", "") if run.console.exists() else ""
    problems = [*filter(None, [run.problem]), *log.judge(said)]
    if tests and not problems:
        _, failed, _, details = ktap.count(tree, run.console)
        if failed:
            problems += ["\n".join(line for line in details.splitlines() if "bench: cost:" not in line)]
    if scenario and not problems:
        story = run.ktap.read_text(errors="replace").replace("\r", "")
        problems += [] if re.search(r"^# exit code 0$", story, re.M) else [story]
        said += story
    if problems:
        raise Failure("\n".join([f"{name} did not do what was to be measured:", *problems, f"log: {run.console}"]))
    print(f"{name}: {len(Costs(said).raw)} cases measured in {run.seconds:.0f} s", flush=True)
    return Costs(said)


def called(file):
    """What the callbacks of the Rust twin call, in an object file."""
    found = functions(file, r"_R\w*mmu_notifier\w*(?:invalidate|release|young|start|finish)\w*")
    calls = set(re.findall(r"R_X86_64_PLT32 (\w+)", "\n".join("\n".join(lines) for lines in found.values())))
    return {name for name in calls if name not in found}


def object_code(tree):
    """Nothing is left of sections, and no callback allocates; {configuration: {file: bytes of text}}."""
    texts = {}
    for name in (INLINED, CALLS):
        nothing_left(tree, name)
        folder = tree.root / name / "lib/tests/rust/bench"
        wrong = {call for call in called(folder / "twin_rust.o") if not CALLED.fullmatch(call)}
        if wrong:
            raise Failure(f"{name}: callbacks call {', '.join(sorted(wrong))}")
        texts[name] = {who: text_size(folder / f"twin_{who}.o") for who in ("core", "c", "rust")}
    return texts


class Report:
    """All that was measured, {configuration: Costs}, as tables and as JSON."""

    def __init__(self, costs, texts=None):
        self.costs = costs
        self.texts = texts or {}
        self.rows = []
        self.missed = []
        for key in dict.fromkeys(key for cost in costs.values() for key in cost.raw):
            self.add(key)

    def add(self, key):
        case, size, hits, others = key
        row = {"case": case, "bytes": size, "hits": hits, "others": others}
        for name, costs in self.costs.items():
            if key not in costs.raw:
                continue
            found = {who: costs.whole(key, who) for who in costs.raw[key] if who != "loop"}
            found["ratio"] = ratio(found["rust"], found["c"])
            if case in CALLBACKS:
                own = {who: costs.own(key, who) for who in ("c", "rust")}
                found["callback"] = own | {"ratio": ratio(own["rust"], own["c"])}
            if name == TIME:
                found["spread"] = costs.spread(key)
            elif case in CALLBACKS:
                limit = EXCEPTIONS[case][1][name] if case in EXCEPTIONS else LIMITS[name]
                # In the digits that are shown.
                if round(found["callback"]["ratio"] or 0, 2) > limit:
                    self.missed.append((case, name))
            row[name] = found
        self.rows.append(row)

    def table(self, title, labels, callback):
        """One row for each case: instructions with inlined helpers, without, and nanoseconds."""
        rows = [row for case in labels for row in self.rows if row["case"] == case and len(row) > 4]
        if not rows:
            return
        print(f"\n{title}\n")
        print(f"  {'':40}{'core' if callback else '':>6} {'C':>8} {'Rust':>8} Rust/C {'not inl.':>9} Rust/C "
              f"{'ns: C':>8} {'Rust':>8} Rust/C spread")
        for row in rows:
            label = labels[row["case"]] + (f", {row['others']} others" if row["others"] else "")
            words = [f"  {label:40}"]
            for name in self.costs:
                if name not in row:
                    continue
                found = row[name]
                if name == TIME and found["spread"] > NOISE:
                    words.append(f"{'noise':>8}")
                    continue
                of = found["callback"] if callback and name != TIME else found
                if name == INLINED:
                    words.append(f"{number(found['core']) if callback else '':>6} {number(of['c']):>8}")
                elif name == TIME:
                    words.append(f"{number(of['c']):>8}")
                words.append(f"{number(of['rust']):>{9 if name == CALLS else 8}} {share(of['ratio']):>6}")
                if name == TIME:
                    words.append(f"{found['spread']:>5.0%}")
            letters = self.letters([row])
            print(" ".join(words) + (f"  [{','.join(letters)}]" if letters else ""))
        print()
        for letter in self.letters(rows):
            print(f"  [{letter}] {FOOTNOTES[letter]}")
        print()

    @staticmethod
    def letters(rows):
        """Those of the footnotes to some rows."""
        return sorted({letter for row in rows if row["case"] in EXCEPTIONS for letter in EXCEPTIONS[row["case"]][0]})

    def growth(self):
        """One row for each way to invalidate: instructions in Rust and Rust/C, by the number of intervals."""
        rows = [row for row in self.rows if row["case"] in PATHS and INLINED in row]
        if not rows:
            return
        counts = sorted({row["hits"] for row in rows if row["case"] != "find"}) or [0, 10, 1000, 100000]
        print("An invalidation by the number of intervals that it hits, in instructions, and Rust/C\n")
        print(f"  {'':34}" + "".join(f"{count:>17}" for count in counts))
        for case in PATHS:
            for size in UNITS:
                of = {row["others" if case == "find" else "hits"]: row[INLINED]
                      for row in rows if row["case"] == case and row["bytes"] == size}
                if of:
                    print(f"  {PATHS[case] + ('' if case == 'find' else ', ' + UNITS[size]):34}" + "".join(
                        f"{number(of[count]['rust']):>11} {share(of[count]['ratio']):>5}" if count in of else f"{'':17}"
                        for count in counts))
        print()
        self.slope("each interval that is hit", "invalidate", "hits", lambda few, many: many - few)
        self.slope("twice as many others", "find", "others", lambda few, many: math.log2(many / few))
        print()

    def slope(self, what, case, count, steps):
        """What more intervals cost, from the last two numbers of them."""
        rows = [row for row in self.rows if row["case"] == case and row["bytes"] == 4096 and INLINED in row][-2:]
        if len(rows) == 2:
            (few, low), (many, high) = ((row[count], row[INLINED]) for row in rows)
            print(f"  {what:34} takes " + ", ".join(
                f"{(high[who] - low[who]) / steps(few, many):.1f} ({name})"
                for who, name in (("core", "core"), ("c", "C"), ("rust", "Rust"))))

    def memory(self):
        """The bytes of a registration."""
        sizes = next((costs.sizes for costs in self.costs.values() if costs.sizes), None)
        if not sizes:
            return
        print("Bytes of a registration with the data of the driver, and the structure of the core alone\n")
        print(f"  {'':12}{'core':>6}{'C':>6}{'Rust':>6}")
        for kind in sizes["core"]:
            numbers = "".join(f"{sizes[who][kind]:>6}" for who in ("core", "c", "rust"))
            print(f"  {kind.replace('_', ' '):12}{numbers}")
        print(f"\n  {MEMORY}\n")
        for name, sizes in self.texts.items():
            print(f"  bytes of text, {name}: C {sizes['c']}, Rust {sizes['rust']}")
        print()

    def show(self):
        self.table("Callbacks, in instructions without the core that calls them, and in nanoseconds with it",
                   CALLBACKS, True)
        self.table("All of it, in instructions and in nanoseconds", OPERATIONS, False)
        self.growth()
        self.memory()

    def json(self, made_by):
        sizes = next((costs.sizes for costs in self.costs.values() if costs.sizes), {})
        return {"made by": made_by, "sizes": sizes, "text": self.texts, "cases": self.rows}

    def svg(self, made_by):
        """The picture, or None if not all of it was measured."""
        if {row["case"] for row in self.rows} < {*CALLBACKS, *OPERATIONS, *PATHS}:
            return None

        def values(row, callback):
            return [(row[name]["callback"] if callback else row[name])["ratio"] if name in row else None
                    for name in (INLINED, CALLS)]

        def series(case, count, size):
            of = [row for row in self.rows if row["case"] == case and row["bytes"] == size and INLINED in row]
            return [(label, color, dash, [(row[count], row[INLINED][who]) for row in of])
                    for label, who, color, dash in (("the core", "core", chart.GREY, None),
                                                    ("with callbacks in C", "c", chart.C, None),
                                                    ("with callbacks in Rust", "rust", chart.RUST, "5 4"))]

        rows = []
        for heading, labels, callback in (("Callbacks, without the core", CALLBACKS, True),
                                          ("All of it", OPERATIONS, False)):
            found = [(labels[case] + (f", {row['others']} others" if row["others"] else ""), *values(row, callback))
                     for case in labels for row in self.rows
                    if row["case"] == case and row["others"] in (0, 100000)]
            rows += [(heading, None, None), *(row for row in found if any(row[1:]))]
        return chart.picture(rows, series("invalidate", "hits", 1 << 30), series("find", "others", 4096),
                             f"{made_by['command']}: {made_by['kernel']}, {made_by['rustc']}, {made_by['clang']}, "
                             f"{made_by['qemu']}")


def made_by(tree, case):
    """The kernel, the tools and the command, {what: version}."""
    def first(*command):
        said = output(command).stdout
        return f"{pathlib.Path(command[0]).name} {re.search(r'[0-9]+[.][0-9.]+', said)[0]}"

    version = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", (tree.src / "Makefile").read_text(), re.M))
    return {
        "kernel": "Linux " + ".".join(version.values()),
        "rustc": first("/usr/bin/rustc", "--version"),
        "clang": first("clang", "--version"),
        "bindgen": first(bindgen(), "--version"),
        "qemu": first(guest.QEMU, "--version"),
        "command": "make bench" + (f" CASE={case}" if case else ""),
    }


def some_cases(pattern):
    """Return a pattern that matches at least one case."""
    if not fnmatch.filter(CASES, pattern):
        raise argparse.ArgumentTypeError(f"no case {pattern}: there are {', '.join(CASES)}")
    return pattern


def run(pattern):
    cases = fnmatch.filter(CASES, pattern)
    # KUnit takes one pattern; the mirror is none of its tests.
    tests = pattern if cases != [MIRROR] else None
    with prepared() as tree:
        costs = {}
        for name in (INLINED, CALLS, TIME):
            build(tree, name, "all", *([] if name == TIME else [PROBE]))
        texts = object_code(tree)
        for name in (INLINED, CALLS, TIME):
            if tests or name != TIME:
                costs[name] = boot(tree, name, tests, name != TIME and MIRROR in cases)
        report = Report(costs, texts)
        by = made_by(tree, pattern if pattern != "*" else "")
        print()
        report.show()
        print("\n".join(f"{what}: {version}" for what, version in by.items()))
        files = {tree.results / "bench.json": json.dumps(report.json(by), indent=1) + "\n",
                 tree.results / "bench.svg": report.svg(by)}
        for file, contents in files.items():
            if contents:
                file.write_text(contents)
                print(f"written: {file}")
        if report.missed:
            raise Failure("Rust costs more than it should: " +
                          ", ".join(f"{case} ({name})" for case, name in report.missed))


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("pattern", nargs="?", default="*", type=some_cases, metavar="CASE",
                        help=f"a case or a pattern, all if none is given: {', '.join(CASES)}")
    main(run, parser)
