# SPDX-License-Identifier: GPL-2.0
"""The OOM story as a table: tests/vm/oom.sh with four drivers, and what the kernel reports about each."""

import dataclasses
import re

import guest
import log
from build import build
from common import Failure, arguments, main, output
from initramfs import initramfs
from tree import prepared

DRIVERS = {
    "lets-go": "lets go of the memory",
    "refuses": "refuses three times, then lets go",
    "sleeps": "sleeps, and then lets go",
    "hmm": "is the test device of HMM",
}

WAYS = {
    "oom": "The system is out of memory: the OOM killer kills the process, the OOM reaper asks the driver",
    "memcg": "A memory cgroup is out of memory",
    "mrelease": "The process is killed by hand, and process_mrelease(2) asks the driver",
}

# The lines of a call trace that are shown: the reaper, the driver, and the sleep.
SHOWN = re.compile(r"^ (schedule|msleep|oom_reaper|zap_vma\w*|__mmu_notifier\w+|\S+\+\S+ \[rust_mmu_mirror\]$)")

FRAME = re.compile(r" (\S+)\+0x([0-9a-f]+)(/0x[0-9a-f]+) \[rust_mmu_mirror\]")


@dataclasses.dataclass
class Story:
    """The numbers that oom_story printed about a driver, and the kernel's log meanwhile."""
    numbers: dict
    console: str

    def reaper(self):
        """What the reaper did, in its own words as far as it has any."""
        if self.numbers["way"] == "mrelease":
            return "".join(f"{self.numbers['eagain']} x EAGAIN, " * (self.numbers["eagain"] != "0")) + "done"
        match = re.search(r"oom_reaper: (reaped process|unable to reap).*?(?:, now (anon-rss:\w+))?(?:,.*)?$",
                          self.console, re.M)
        return ", ".join(filter(None, match.groups())) if match else "nothing"


def stories(boot):
    """The stories of a boot: {(way, driver): Story}."""
    console = boot.console.read_text(errors="replace").replace("\r", "")
    consoles = {tuple(match[1].split()): match[2]
                for match in re.finditer(r"story: (?!end)(.*)\n((?:.*\n)*?)(?=.*story: end)", console)}
    result = {}
    for line in re.findall(r"^# story (.*)$", boot.ktap.read_text(errors="replace").replace("\r", ""), re.M):
        numbers = dict(pair.split("=") for pair in line.split())
        which = numbers["way"], numbers["driver"]
        result[which] = Story(numbers, consoles.get(which, ""))
    return result


def table(results, way):
    megabytes = int(results[way, "lets-go"].numbers["memory_kb"]) // 1024
    print(f"\n{WAYS[way]}. {megabytes} MiB are mirrored.\n")
    print(f"  {'the driver':34} {'the reaper':30} {'memory back after':>17} {'came back':>9} {'callbacks':>9} "
          f"{'refused':>7}")
    for driver, text in DRIVERS.items():
        story = results[way, driver]
        numbers = story.numbers
        print(f"  {text:34} {story.reaper():30} {int(numbers['ms']) / 1000:15.2f} s "
              f"{int(numbers['freed_kb']) // 1024:5} MiB {numbers.get('nonblock', '-'):>9} "
              f"{numbers.get('refused', '-'):>7}")


def place(tree, obj, console):
    """The file and line of the driver in a call trace."""
    frame = FRAME.search(console)
    if not frame:
        return None
    # The address is the one to return to; the call is before it.
    call = f"{frame[1]}+{int(frame[2], 16) - 1:#x}{frame[3]}"
    result = output([tree.src / "scripts/faddr2line", obj / "samples/rust/rust_mmu_mirror.ko", call])
    line = re.search(r"\b(samples/rust/\S+:\d+)", result.stdout)
    return line[1] if line else None


def report(tree, obj, console):
    """Show what the kernel reported about the driver that sleeps, and where in the driver that is."""
    lines = [re.sub(r"^\[ *[\d.]+\](\[ *[TC]\d+\])? ?", "", line) for line in console.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.startswith("BUG: ")), None)
    where = place(tree, obj, console)
    if start is None or not where:
        raise Failure("the kernel did not report the driver that sleeps, or not where it does")
    print(f"\nWhat the kernel said about the driver that sleeps, which it does at {where}:\n")
    print(f"  {lines[start]}")
    for line in lines[start:]:
        if SHOWN.search(line):
            print(f"    {readable(line.strip())}")


def readable(frame):
    """A line of a call trace with the names of Rust as they are written."""
    symbol = frame.split("+")[0]
    plain = output(["c++filt", symbol]).stdout.strip()
    # A crate's name has its hash behind it.
    return frame.replace(symbol, re.sub(r"\[[0-9a-f]+\]", "", plain))


def run():
    with prepared() as tree:
        obj = build(tree, "x86_64")
        settings = guest.scenarios()["oom"]
        append = [f"drivers={','.join(DRIVERS)}"]
        boot = guest.scenario("demo", "oom", settings, obj, tree.results / "demo", initramfs(tree, obj), append)
        if boot.problem:
            raise Failure(f"the guest: {boot.problem} (log: {boot.console})")
        results = stories(boot)
        missing = [f"{way} {driver}" for way in WAYS for driver in DRIVERS if (way, driver) not in results]
        if missing:
            raise Failure(f"the guest told no story of {', '.join(missing)} (log: {boot.console})")
        for way in WAYS:
            table(results, way)
        report(tree, obj, results["oom", "sleeps"].console)
        wrong = re.findall(r"^not ok \d+ (.*)$", boot.ktap.read_text(errors="replace").replace("\r", ""), re.M)
        problems = log.judge(boot.console.read_text(errors="replace"))
        if wrong or problems:
            raise Failure("\n".join([f"this is not what should have happened: {', '.join(wrong) or 'see below'}",
                                     *problems, f"log: {boot.console}"]))
        print(f"\nAll as it should be. The kernel's log: {boot.console}")


if __name__ == "__main__":
    main(run, arguments(__doc__))
