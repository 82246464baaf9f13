# SPDX-License-Identifier: GPL-2.0
"""Run the tests, show a table, and end with the line `N passed, N failed, N skipped`."""

import io
import pathlib
import re
import tempfile
import time
import unittest

import foreign
import guest
import ktap
import log
import prove
import reap
from build import build
from common import Failure, PROJECT, arguments, main
from guest import text_of
from initramfs import initramfs
from table import Counts, Table
from tree import prepared
from ui import ui


def tools(table):
    """Run the unit tests of the tools."""
    start = time.monotonic()
    stream = io.StringIO()
    suite = unittest.defaultTestLoader.discover(str(PROJECT / "tests/tools"))
    result = unittest.TextTestRunner(stream, buffer=True).run(suite)
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    counts = Counts(result.testsRun - failed - skipped, failed, skipped)
    table.row("tools", counts, time.monotonic() - start, stream.getvalue())


def prover(table):
    """The unit tests of tools/prove, and its controls."""
    start = time.monotonic()
    result = prove.cargo("test")
    found = re.findall(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", result.stdout, re.M)
    passed, failed, skipped = (sum(map(int, column)) for column in zip(*found)) if found else (0, 0, 0)
    # A test that does not compile has no result.
    failed = failed or int(result.returncode != 0 or not found)
    table.row("prove", Counts(passed, failed, skipped), time.monotonic() - start, result.stdout)


def judged(tree, run, results, problems=()):
    """Count the test cases in the file `results` and a clean log as one more; return the Counts, and details."""
    counts, details = ktap.count(tree, results) if results.exists() else (Counts(failed=1), "no KTAP")
    problems = [*filter(None, [run.problem, *problems]), *log.judge(text_of(run.console))]
    details = "\n".join([details, *problems, f"log: {run.console}"])
    return counts + (Counts(failed=1) if problems else Counts(passed=1)), details


def judge(table, tree, name, run, results, problems=()):
    counts, details = judged(tree, run, results, problems)
    table.row(name, counts, run.seconds, details)


def kunit(boot, name, obj, folder, append, **machine):
    """Boot with the KUnit tests, and return the run, and a list that names the test in which it ended too early."""
    append = ["kunit.enable=1", *append]
    run = boot(name, obj, folder, append, **machine)
    text = text_of(run.console)
    problem = ktap.plan_problem(ktap.without_stamps(text))
    if not problem:
        return run, []
    listed = boot(f"{name}: list of tests", obj, folder / "list", [*append, "kunit.action=list"],
                  **machine)
    where = " or ".join(ktap.not_ended(text, ktap.listed(text_of(listed.console))))
    return run, [f"{problem}; it ended in {where}" if where else problem]


def kunit_uml(table, tree):
    obj = build(tree, "uml")
    run, problems = kunit(guest.uml, "kunit-uml", obj, tree.results / "kunit-uml", ["kunit_shutdown=halt"])
    judge(table, tree, "kunit-uml", run, run.console, problems)


def kunit_qemu(table, tree, config, *append):
    name = f"kunit-{config}{ending(append)}"
    obj = build(tree, config)
    # Make SRCU like on a machine with many CPUs, with a queue of callbacks for each CPU.
    append = ["kunit_shutdown=reboot", "srcutree.convert_to_big=1", *append]
    # With less than 512 MiB there are no huge pages.
    run, problems = kunit(guest.qemu, name, obj, tree.results / name, append, memory="1G")
    judge(table, tree, name, run, run.console, problems)


# The scenarios that also run in a guest in which each invalidation is tried first. Others set it themselves, and `hmm`
# is mostly about the driver in C.
TRIED_FIRST = ["devices", "load", "mirror", "queued_work", "shared", "unload"]


def ending(append):
    """Return the end of the names of results from guests with these options; only TRY_FIRST has one."""
    return "-tried-first" if guest.TRY_FIRST in append else ""


# The KUnit suites whose tests provoke a report of lockdep.
LOCKDEP = ["rust_lockdep", "rust_lockdep_reclaim", "rust_lockdep_notifiers", "mmu_notifier_lockdep", "mmput_lockdep"]


def lockdep(table, tree, config):
    """Run each test of LOCKDEP in its own boot: after a report, lockdep is off until the next boot."""
    obj = build(tree, config)
    results = tree.results / f"lockdep{guest.suffix(config)}"
    start = time.monotonic()

    def boot(test, *append):
        append = ["kunit.enable=1", f"kunit.filter_glob={test}", "kunit_shutdown=reboot", *append]
        return guest.qemu(f"lockdep {test}", obj, results / test.replace("*", "list"), append)

    listing = boot("*lockdep*.*", "kunit.action=list")
    listed = ktap.listed(text_of(listing.console))
    tests = [test for suite in LOCKDEP for test in listed if test.startswith(f"{suite}.")]
    missing = [suite for suite in LOCKDEP if not any(test.startswith(f"{suite}.") for test in tests)]
    problem = listing.problem or (f"KUnit lists no test of {', '.join(missing)}" if missing else None)
    total = Counts(failed=int(bool(problem)))
    details = [f"{problem}\nlog: {listing.console}"] if problem else []
    for test in tests:
        run = boot(test)
        counts, text = judged(tree, run, run.console, [silence(run.console)])
        total += counts
        details += [text] if counts.failed else []
    table.row(results.name, total, time.monotonic() - start, "\n".join(details))


def silence(console):
    """Return a problem if no test of a boot announced a report: then only half of its test ran."""
    announced = console.exists() and log.announcements(console.read_text(errors="replace"))
    return None if announced else "expected a report to be announced, but none was"


def vm(table, tree, config, names=None, append=()):
    """Boot the scenarios in tests/vm, or only those that are named."""
    scenarios(table, tree, config, "vm", guest.scenarios(), names, initramfs, append)


def foreign_programs(table, tree, config, names=None):
    """Boot the scenarios in tests/foreign, or only those that are named."""
    def image(tree, obj):
        return initramfs(tree, obj, foreign.files(tree), "foreign")

    scenarios(table, tree, config, "foreign", guest.scenarios(foreign.FOLDER), names, image)


def scenarios(table, tree, config, suite, found, names, image, append=()):
    """Boot the scenarios `found`, or only those that are named, with the initramfs that `image` packs."""
    obj = build(tree, config)
    initrd = image(tree, obj)
    for name, settings in found.items():
        if names is None or name in names:
            label = f"{suite}-{name}{guest.suffix(config)}{ending(append)}"
            run = guest.scenario(label, name, settings, obj, tree.results / label, initrd, append)
            scenario(table, tree, label, run)


def scenario(table, tree, name, run):
    """Judge the `run` of a scenario, and show the lines that it prints with `# | `."""
    text = text_of(run.ktap)
    code = re.search(r"^# exit code (\d+)$", text, re.M)
    started = ktap.last_started(text)
    problems = [ktap.plan_problem(text),
                started and f"it ended in: {started}",
                not code and "the scenario did not end",
                code and code[1] != "0" and f"exit code {code[1]}"]
    judge(table, tree, name, run, run.ktap, problems)
    print("".join(f"    {line}\n" for line in re.findall(r"^# \| (.*)$", text, re.M)), end="", flush=True)


# The examples for `make reap`: the result of each situation, as a pattern, or None for all situations, each ok.
OK = "ok(, unloaded)?"
CARELESS = r"FAILED: .*report: tests/reap/careless/careless\.c:.*"
REFUSES = r"FAILED: \d+ MiB not back"
REAPED = {
    "rust_mmu_mirror": None,
    "careless": {"munmap": CARELESS, "mrelease": CARELESS},
    # Only on x86_64. In a situation that takes access away, such as mprotect, the program may end before the situation.
    "rdma_rxe": {"fork": OK, "oom": REFUSES, "mrelease": REFUSES, "swap-out": OK},
    "template-rust": {"munmap": OK, "mrelease": OK},
    "template-c": {"munmap": OK, "mrelease": OK},
}


def reaped(table, tree, config):
    """Put the examples of `make reap` before the OOM reaper, and the drivers that it writes to begin with."""
    obj = build(tree, config)
    for name, expected in REAPED.items():
        if name == "rdma_rxe" and config != "x86_64":
            continue
        folder = reap.EXAMPLES / name
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="nonblock.") as scratch:
            if name.startswith("template-"):
                folder = pathlib.Path(scratch) / name
                reap.write_template(folder, name.removeprefix("template-"))
            bench = reap.put(tree, config, obj, folder, expected and list(expected))
        wrong = [f"{row.situation}: {row.result()}" for row in bench.rows.values()
                 if not re.fullmatch(expected.get(row.situation, OK) if expected else OK, row.result())]
        counts = Counts(len(bench.rows) - len(wrong), len(wrong))
        table.row(f"reap-{name}{guest.suffix(config)}", counts, time.monotonic() - start,
                  "\n".join([*wrong, f"logs: {bench.folder}"]))


def run(suites):
    with prepared() as tree:
        table = Table("suite")
        try:
            if suites in ("all", "fast"):
                tools(table)
                prover(table)
                kunit_uml(table, tree)
                ui(table, tree.root / "uml")
            for config in {"all": ["x86_64"], "arm64": ["arm64", "arm64-16k"]}.get(suites, []):
                kunit_qemu(table, tree, config)
                kunit_qemu(table, tree, config, guest.TRY_FIRST)
                lockdep(table, tree, config)
                vm(table, tree, config)
                vm(table, tree, config, TRIED_FIRST, [guest.TRY_FIRST])
                reaped(table, tree, config)
            if suites == "all":
                foreign_programs(table, tree, "x86_64")
            if suites == "rt":
                kunit_qemu(table, tree, "x86_64-rt")
                vm(table, tree, "x86_64-rt", ["driver_waits"])
        except Failure as failure:
            # A kernel that does not build is a failed test, and no other suite can run.
            table.row("(not finished)", Counts(failed=1), 0, f"error: {failure}")
        return table.end()


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("suites", nargs="?", default="all", choices=["all", "fast", "arm64", "rt"],
                        help="all: the default, without the last two; fast: only user-mode Linux; arm64: in guests of "
                             "arm64 with pages of 4 and of 16 KiB; rt: in a guest with PREEMPT_RT")
    main(run, parser)
