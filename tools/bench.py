# SPDX-License-Identifier: GPL-2.0
"""Measure the cost of MMU notifiers and their drivers in Rust, beside the same in C.

QEMU's -icount counts instructions: the clock of the guest advances by a nanosecond with each. The counts are the same
in every run, and on every machine. The kernel is built twice, with the C helpers inlined into Rust and
without. User-mode Linux gives nanoseconds, which differ in every run.

If all cases are measured, the tables and the picture of Documentation/mm/rust-mmu-notifier-cost.rst are written again.
"""

import argparse
import csv
import dataclasses
import fnmatch
import pathlib
import re

import cost_tables
import costs
import guest
import ktap
import log
from build import bindgen, build
from common import Failure, PROJECT, arguments, main, output
from costs import CALLED, INLINED, TIME
from initramfs import initramfs
from objcode import PROBE, functions, nothing_left, text_size
from table import text
from tree import prepared

SUITE = "mmu_notifier_bench"
SOURCE = PROJECT / "bench/bench.c"
# The cases of tests/bench/bench.sh; all others are in SOURCE.
MIRROR = ["mirror_fault", "mirror_read", "mirror_drop", "mirror_reap"]
PAGE = PROJECT / "Documentation/mm/rust-mmu-notifier-cost"

# One CPU, independent of the host. Its clock jumps when the guest is idle.
COUNTING = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1", "-rtc", "clock=vm"]
# A grace period takes work instead of time, and programs are always at the same addresses.
APPEND = ["rcupdate.rcu_expedited=1", "norandmaps"]


@dataclasses.dataclass
class Machine:
    """The guests that measure: the kernel of each kind, in build.CONFIGS, the CPU, and options of its kernels.

    A cycle of this CPU is a nanosecond is an instruction.
    """
    kernels: dict
    cpu: str
    append: list


MACHINES = {
    "x86_64": Machine({INLINED: "bench", CALLED: "bench-calls", TIME: "bench-uml"}, "max,-rdrand,-rdseed",
                      ["tsc_early_khz=1000000"]),
    "arm64": Machine({INLINED: "bench-arm64", CALLED: "bench-arm64-calls"}, "max,pauth-impdef=on", []),
}

# The limit of Rust/C, by table, and for cases that need more. The page gives the reasons.
LIMITS = {"callbacks": {INLINED: 1.00, CALLED: 1.05}, "operations": {INLINED: 1.05}}
EXCEPTIONS = {
    "interval_try_invalidate_refused": {CALLED: 1.06},
    "two_pass_invalidate": {CALLED: 1.37},
    "two_pass_try_invalidate": {CALLED: 1.12},
    "deferring_try_invalidate": {INLINED: 1.01, CALLED: 1.06},
    "deferring_try_invalidate_refused": {INLINED: 1.01},
    "list_start_end": {CALLED: 1.26},
    "list_try_start_end": {CALLED: 1.26},
    "list_clear_flush_young": {CALLED: 1.14},
    "list_clear_young": {CALLED: 1.14},
    "list_test_young": {CALLED: 1.15},
    "list_arch_invalidate": {CALLED: 1.21},
    "mirror_fault": {INLINED: 1.04},
}

# The functions that callbacks of the Rust twin may call. No allocation is among them.
ALLOWED = re.compile(r"mutex_(try)?(un)?lock|_raw_spin_(un)?lock|__x86_return_thunk|rust_helper_\w+|_R\w+8Deferral\w+")


def cases():
    """Return the names of all cases."""
    return re.findall(r'^\t\{ "(\w+)", "', SOURCE.read_text(), re.M) + MIRROR


def some_cases(pattern):
    """Return a pattern that matches at least one case."""
    if not fnmatch.filter(cases(), pattern):
        raise argparse.ArgumentTypeError(f"no case {pattern}: there are {', '.join(cases())}")
    return pattern


def boot(tree, machine, kind, obj, pattern):
    """Boot a kernel that measures the cases that `pattern` matches, and return its log."""
    kernel = machine.kernels[kind]
    scenario = kind != TIME and fnmatch.filter(MIRROR, pattern)
    append = ["kunit.enable=1", f"kunit.filter_glob={SUITE}", f"{SUITE}.only={pattern}"]
    folder = tree.results / kernel

    def status(run):
        console = run.console.read_text(errors="replace") if run.console.exists() else ""
        return f"{len(costs.COST.findall(console)) // 4} cases measured"

    if kind == TIME:
        run = guest.uml(kernel, obj, folder, [*append, "kunit_shutdown=halt"], 900, status)
    else:
        append += [*APPEND, *machine.append, "scenario=bench" if scenario else "kunit_shutdown=reboot"]
        run = guest.qemu(kernel, obj, folder, append, 900, initrd=initramfs(tree, obj),
                         machine=[*COUNTING, "-cpu", machine.cpu], status=status)
    console = run.console.read_text(errors="replace").replace("\r", "") if run.console.exists() else ""
    problems = [*filter(None, [run.problem]), *log.judge(console)]
    if not problems:
        counts, details = ktap.count(tree, run.console)
        if counts.failed:
            problems += ["\n".join(line for line in details.splitlines() if "bench: cost:" not in line)]
    if scenario and not problems:
        story = run.ktap.read_text(errors="replace").replace("\r", "")
        problems += [] if re.search(r"^# exit code 0$", story, re.M) else [story]
        console += story
    if problems:
        raise Failure("\n".join([f"{kernel} did not do what was to be measured:", *problems, f"log: {run.console}"]))
    print(f"{kernel}: {len(costs.costs(console, kind))} cases measured in {run.seconds:.0f} s", flush=True)
    return console


def unmeasured(pattern, measured):
    """Return the names of the cases that are missing in the results."""
    names = {case.name for kernel in (INLINED, CALLED) for case in measured[kernel]}
    return [name for name in fnmatch.filter(cases(), pattern) if name not in names]


def missed(measured):
    """Return the cases in which Rust costs more than its limit."""
    for kernel, by_case in measured.items():
        for case, cost in by_case.items():
            limits = LIMITS.get(case.table, {}) | EXCEPTIONS.get(case.name, {})
            # Compare the digits in the table.
            if kernel in limits and round(cost.ratio or 0, 2) > limits[kernel]:
                yield f"{case} ({kernel}): {cost.ratio:.2f} of C, at most {limits[kernel]:.2f}"


def callees(file):
    """Return the functions that callbacks of the Rust twin call, in an object file."""
    callbacks = functions(file, r"_R\w*mmu_notifier\w*(?:invalidate|release|young|start|finish)\w*")
    calls = set(re.findall(r"R_X86_64_PLT32 (\w+)", "\n".join("\n".join(lines) for lines in callbacks.values())))
    return calls - callbacks.keys()


def check_object_code(tree, kernel):
    """Check that sections compile to nothing, and that no callback allocates."""
    nothing_left(tree, kernel)
    folder = tree.root / kernel / "lib/tests/rust/bench"
    wrong = [callee for callee in sorted(callees(folder / "twin_rust.o")) if not ALLOWED.fullmatch(callee)]
    if wrong:
        raise Failure(f"{kernel}: callbacks call {', '.join(wrong)}")
    print(f"{kernel}: bytes of text: C {text_size(folder / 'twin_c.o')}, Rust {text_size(folder / 'twin_rust.o')}")


def show(measured, sizes):
    """Print the tables that are not empty."""
    for header, rows in (cost_tables.comparison(measured, "callbacks"), cost_tables.comparison(measured, "operations"),
                         cost_tables.growth(measured[INLINED]), cost_tables.slopes(measured[INLINED]),
                         cost_tables.registrations(sizes)):
        if rows:
            print(f"\n{text(header, rows)}")


def write_page(page, measured, sizes, caption):
    """Write the tables and the picture that the page of the costs includes."""
    import chart    # needs matplotlib, which only `make bench` installs

    counted = {kernel: measured[kernel] for kernel in (INLINED, CALLED)}
    for name, (header, rows) in {"callbacks": cost_tables.comparison(counted, "callbacks"),
                                 "operations": cost_tables.comparison(counted, "operations"),
                                 "intervals": cost_tables.slopes(counted[INLINED]),
                                 "registrations": cost_tables.registrations(sizes)}.items():
        with open(f"{page}-{name}.csv", "w") as out:
            csv.writer(out, lineterminator="\n").writerows([header, *rows])
    pathlib.Path(f"{page}.svg").write_text(chart.picture(counted, caption))
    print(f"written: {page}-*.csv and {page}.svg")


def versions(tree, arch):
    """Return the versions of the kernel and the tools."""
    def version(*command):
        number = re.search(r"[0-9]+[.][0-9.]+", output(command).stdout)[0]
        return f"{pathlib.Path(command[0]).name} {number}"

    numbers = re.findall(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", (tree.src / "Makefile").read_text(), re.M)
    return ", ".join([f"Linux {'.'.join(numbers)}", version("/usr/bin/rustc", "--version"),
                      version("clang", "--version"), version(bindgen(), "--version"),
                      version(guest.ARCHITECTURES[arch].qemu[0], "--version")])


def run(pattern, arch):
    machine = MACHINES[arch]
    with prepared() as tree:
        objs = {kind: build(tree, kernel, "all", *([PROBE] if kind != TIME and arch == "x86_64" else []))
                for kind, kernel in machine.kernels.items()}
        for kernel in (INLINED, CALLED) if arch == "x86_64" else ():
            check_object_code(tree, kernel)
        logs = {kind: boot(tree, machine, kind, obj, pattern) for kind, obj in objs.items()}
        measured = {kind: costs.costs(text, kind) for kind, text in logs.items()}
        sizes = costs.sizes(logs[INLINED])
        show(measured, sizes)
        made_by = versions(tree, arch)
        print(f"\n{made_by}")
        forgotten = unmeasured(pattern, measured)
        if forgotten:
            raise Failure(f"not measured: {', '.join(forgotten)}")
        # The page and the limits are those of x86_64.
        if arch != "x86_64":
            return
        if pattern == "*":
            write_page(PAGE, measured, sizes, made_by)
        too_much = list(missed(measured))
        if too_much:
            raise Failure("\n".join(["Rust costs more than it should:", *too_much]))


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("pattern", nargs="?", default="*", type=some_cases, metavar="CASE",
                        help=f"a case or a pattern, all if none is given: {', '.join(cases())}")
    parser.add_argument("--arch", default="x86_64", choices=MACHINES, help="of the guests that count instructions")
    main(run, parser)
