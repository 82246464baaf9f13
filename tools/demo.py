# SPDX-License-Identifier: GPL-2.0
"""The OOM story as a table: tests/vm/oom.sh with four drivers, and what the kernel said about each."""

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

# The lines of a call trace that tell the story: who asked, the driver, and the sleep.
TOLD = re.compile(r"^ (schedule|msleep|oom_reaper|zap_vma\w*|__mmu_notifier\w+|\S+\+\S+ \[rust_mmu_mirror\]$)")

FRAME = re.compile(r" (\S+)\+0x([0-9a-f]+)(/0x[0-9a-f]+) \[rust_mmu_mirror\]")


def stories(run):
    """What oom_story printed, and what the kernel said meanwhile: {(way, driver): (numbers, console)}."""
    numbers = {}
    for line in re.findall(r"^# story (.*)$", run.ktap.read_text(errors="replace").replace("\r", ""), re.M):
        story = dict(pair.split("=") for pair in line.split())
        numbers[story["way"], story["driver"]] = story
    console = run.console.read_text(errors="replace").replace("\r", "")
    said = {tuple(match[1].split()): match[2]
            for match in re.finditer(r"story: (?!end)(.*)\n((?:.*\n)*?)(?=.*story: end)", console)}
    return {which: (numbers[which], said.get(which, "")) for which in numbers}


def reaper(story, said):
    """What the reaper said, in its own words as far as it has any."""
    if story["way"] == "mrelease":
        return "".join(f"{story['eagain']} x EAGAIN, " * (story["eagain"] != "0")) + "done"
    match = re.search(r"oom_reaper: (reaped process|unable to reap).*?(?:, now (anon-rss:\w+))?(?:,.*)?$", said, re.M)
    return ", ".join(filter(None, match.groups())) if match else "nothing"


def table(found, way):
    memory = int(found[way, "lets-go"][0]["memory_kb"]) // 1024
    print(f"\n{WAYS[way]}. {memory} MiB are mirrored.\n")
    print(f"  {'the driver':34} {'the reaper':30} {'memory back after':>17} {'came back':>9} {'callbacks':>9} "
          f"{'refused':>7}")
    for driver, text in DRIVERS.items():
        story, said = found[way, driver]
        print(f"  {text:34} {reaper(story, said):30} {int(story['ms']) / 1000:15.2f} s "
              f"{int(story['freed_kb']) // 1024:5} MiB {story.get('nonblock', '-'):>9} {story.get('refused', '-'):>7}")


def place(tree, obj, said):
    """The file and line of the driver in a call trace."""
    frame = FRAME.search(said)
    if not frame:
        return None
    # The address is the one to return to; the call is before it.
    call = f"{frame[1]}+{int(frame[2], 16) - 1:#x}{frame[3]}"
    result = output([tree.src / "scripts/faddr2line", obj / "samples/rust/rust_mmu_mirror.ko", call])
    found = re.search(r"\b(samples/rust/\S+:\d+)", result.stdout)
    return found[1] if found else None


def report(tree, obj, said):
    """Show what the kernel reported about the driver that sleeps, and where in the driver that is."""
    lines = [re.sub(r"^\[ *[\d.]+\](\[ *[TC]\d+\])? ?", "", line) for line in said.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.startswith("BUG: ")), None)
    where = place(tree, obj, said)
    if start is None or not where:
        raise Failure("the kernel did not report the driver that sleeps, or not where it does")
    print(f"\nWhat the kernel said about the driver that sleeps, which it does at {where}:\n")
    print(f"  {lines[start]}")
    for line in lines[start:]:
        if TOLD.search(line):
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
        result = guest.scenario("demo", "oom", settings, obj, tree.results / "demo", initramfs(tree, obj), append)
        if result.problem:
            raise Failure(f"the guest: {result.problem} (log: {result.console})")
        found = stories(result)
        missing = [f"{way} {driver}" for way in WAYS for driver in DRIVERS if (way, driver) not in found]
        if missing:
            raise Failure(f"the guest told no story of {', '.join(missing)} (log: {result.console})")
        for way in WAYS:
            table(found, way)
        report(tree, obj, found["oom", "sleeps"][1])
        wrong = re.findall(r"^not ok \d+ (.*)$", result.ktap.read_text(errors="replace").replace("\r", ""), re.M)
        problems = log.judge(result.console.read_text(errors="replace"))
        if wrong or problems:
            raise Failure("\n".join([f"this is not what should have happened: {', '.join(wrong) or 'see below'}",
                                     *problems, f"log: {result.console}"]))
        print(f"\nAll as it should be. The kernel's log: {result.console}")
        return 0


if __name__ == "__main__":
    main(run, arguments(__doc__))
