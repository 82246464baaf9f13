# SPDX-License-Identifier: GPL-2.0
"""Show in tables how the OOM reaper gets memory back from drivers, in a guest under QEMU.

The first tables are for a driver that gives the memory back, one that refuses, one that sleeps, and the test device of
HMM (tests/vm/oom.sh). For the driver that sleeps, the report of the kernel follows. The last table is for drivers that
have to wait, in C and in Rust (tests/vm/driver_waits.sh). The command fails on any other outcome than expected.
"""

import dataclasses
import itertools
import re

import frames
import guest
import log
from build import build
from common import Failure, arguments, main
from guest import text_of
from initramfs import initramfs
from tree import prepared

DRIVERS = {
    "lets-go": "gives the memory back",
    "refuses": "refuses three times, then gives back",
    "sleeps": "sleeps, then gives the memory back",
    "hmm": "is the test device of HMM",
}

WAYS = {
    "oom": "The system is out of memory: the OOM killer kills the process, and the OOM reaper calls the driver",
    "memcg": "A memory cgroup is out of memory",
    "mrelease": "The process is killed by hand, and process_mrelease(2) calls the driver",
}

WAITING = {
    "waits": "waits 300 ms for its device",
    "refuses": "refuses at once, always",
    "holds": "holds its lock over a fault, 300 ms",
    "many": "waits 30 ms in 10 of 1,000 notifiers",
}

FORMS = {
    "c": "in C",
    "rust": "in Rust",
    "deferring": "in Rust, with a DeferringNotifier",
}

# The same drivers in a kernel that has vm.oom_reaper_waits.
FORMS_WAITING = {
    "c+waits": "in C, and the reaper waits",
    "rust+waits": "in Rust, and the reaper waits",
}

# The heads of the columns for the ways.
COLUMNS = {"oom": "OOM killer", "memcg": "memory cgroup", "mrelease": "process_mrelease(2)"}

MODULE = "rust_mmu_mirror"

# The lines of a call trace that are shown: the reaper, the driver, and the sleep.
SHOWN = re.compile(r"^ (schedule|msleep|oom_reaper|zap_vma\w*|__mmu_notifier\w+|\S+\+\S+ \[rust_mmu_mirror\]$)")


@dataclasses.dataclass
class Story:
    """The numbers that oom_story printed about a driver, and the kernel log of the same time."""
    numbers: dict
    console: str

    def reaper(self):
        """Return the result of the reaper, as the kernel log has it if it does."""
        if self.numbers["way"] == "mrelease":
            return "".join(f"{self.numbers['eagain']} x EAGAIN, " * (self.numbers["eagain"] != "0")) + "done"
        match = re.search(r"oom_reaper: (reaped process|unable to reap).*?(?:, now (anon-rss:\w+))?(?:,.*)?$",
                          self.console, re.M)
        return ", ".join(filter(None, match.groups())) if match else "nothing"


def printed(boot, kind):
    """Return the lines `# kind key=value ...` that the programs of a boot printed, each as a dict."""
    return [dict(pair.split("=") for pair in line.split())
            for line in re.findall(rf"^# {kind} (.*)$", text_of(boot.ktap), re.M)]


def stories(boot):
    """Return the results of a boot: {(way, driver): Story}."""
    console = text_of(boot.console)
    consoles = {tuple(match[1].split()): match[2]
                for match in re.finditer(r"story: (?!end)(.*)\n((?:.*\n)*?)(?=.*story: end)", console)}
    result = {}
    for story in printed(boot, "story"):
        which = story["way"], story["driver"]
        result[which] = Story(story, consoles.get(which, ""))
    return result


def waits(boot):
    """Return the time until each driver that has to wait gave the memory back: {(way, driver, form): text}."""
    results = {}
    for row in printed(boot, "waits"):
        waited = row["form"] in FORMS_WAITING and row["blocking"] != "0"
        when = f"{int(row['ms']) / 1000:.2f} s, {'waited' if waited else 'try ' + row['tries']}"
        results[row["way"], row["driver"], row["form"]] = when if row["reaped"] == "1" else "never"
    return results


def has_waiting_reaper(results):
    return any(form in FORMS_WAITING for _, _, form in results)


def table(results, way):
    megabytes = int(results[way, "lets-go"].numbers["memory_kb"]) // 1024
    print(f"\n{WAYS[way]}. The driver mirrors {megabytes} MiB.\n")
    print(f"  {'the driver':38} {'the reaper':29} {'time':>6} {'freed':>9} {'callbacks':>9} {'refusals':>8}")
    for driver, text in DRIVERS.items():
        story = results[way, driver]
        numbers = story.numbers
        print(f"  {text:38} {story.reaper():29} {int(numbers['ms']) / 1000:4.2f} s "
              f"{int(numbers['freed_kb']) // 1024:5} MiB {numbers.get('nonblock', '-'):>9} "
              f"{numbers.get('refused', '-'):>8}")


def waiting_table(results):
    print("\nDrivers that have to wait before they can give the memory back. The reaper tries ten times in a second, and\n"
          "so does the caller of process_mrelease(2). The time is from the first try until the memory is free:\n")
    print(f"  {'the driver':38}" + "".join(f" {column:19}" for column in COLUMNS.values()).rstrip())
    forms = FORMS | (FORMS_WAITING if has_waiting_reaper(results) else {})
    for driver, text in WAITING.items():
        print(f"  {text}")
        for form, how in forms.items():
            print(f"    {how:36}" + "".join(f" {results[way, driver, form]:19}" for way in WAYS).rstrip())


def report(tree, obj, console):
    """Show the report of the kernel about the driver that sleeps, with the file and line."""
    lines = [re.sub(r"^\[ *[\d.]+\](\[ *[TC]\d+\])? ?", "", line) for line in console.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.startswith("BUG: ")), None)
    where = frames.place(tree, {MODULE: obj / f"samples/rust/{MODULE}.ko"}, console)
    if start is None or not where:
        raise Failure("the kernel log has no report of the driver that sleeps, or its trace has no frame of the driver")
    print(f"\nThe kernel reports the driver that sleeps, at {where}:\n")
    print(f"  {lines[start]}")
    for line in lines[start:]:
        if SHOWN.search(line):
            print(f"    {frames.readable(line.strip())}")


def boot_scenario(tree, obj, initrd, label, name, append=()):
    """Boot a guest that runs the scenario `name`."""
    boot = guest.scenario(label, name, guest.scenarios()[name], obj, tree.results / label, initrd, append)
    if boot.problem:
        raise Failure(f"the guest: {boot.problem} (log: {boot.console})")
    return boot


def check(boot, results, expected):
    """Fail unless the boot printed a result for each of `expected`."""
    missing = [" ".join(which) for which in expected if which not in results]
    if missing:
        raise Failure(f"the guest printed no result for {', '.join(missing)} (log: {boot.console})")


def judge(boot):
    """Fail if a result of the boot is not ok, or its kernel log has a report that no test announced."""
    wrong = re.findall(r"^not ok \d+ (.*)$", text_of(boot.ktap), re.M)
    problems = log.judge(text_of(boot.console))
    if wrong or problems:
        raise Failure("\n".join([f"unexpected outcome: {', '.join(wrong) or 'see the kernel log'}",
                                 *problems, f"log: {boot.console}"]))


def run():
    with prepared() as tree:
        obj = build(tree, "x86_64")
        initrd = initramfs(tree, obj)
        boot = boot_scenario(tree, obj, initrd, "demo", "oom", [f"drivers={','.join(DRIVERS)}"])
        results = stories(boot)
        check(boot, results, itertools.product(WAYS, DRIVERS))
        for way in WAYS:
            table(results, way)
        report(tree, obj, results["oom", "sleeps"].console)
        waiting = boot_scenario(tree, obj, initrd, "demo-waits", "driver_waits")
        results = waits(waiting)
        forms = [*FORMS, *(FORMS_WAITING if has_waiting_reaper(results) else [])]
        check(waiting, results, itertools.product(WAYS, WAITING, forms))
        waiting_table(results)
        judge(boot)
        judge(waiting)
        print(f"\nAll outcomes are as expected. The kernel logs:\n  {boot.console}\n  {waiting.console}")


if __name__ == "__main__":
    main(run, arguments(__doc__))
