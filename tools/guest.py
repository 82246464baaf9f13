# SPDX-License-Identifier: GPL-2.0
"""Boot a kernel, in UML or QEMU, and keep its logs."""

import dataclasses
import functools
import os
import pathlib
import re
import signal
import subprocess
import time

from build import CONFIGS
from common import PROJECT, Progress, cache, environment, output


@dataclasses.dataclass
class Architecture:
    """How a kernel is booted with QEMU: the program with the machine, the file, and its options.

    `binutils` is the prefix of the names of the tools for its files.
    """
    qemu: list[str]
    image: str
    append: str
    binutils: str = ""


ARCHITECTURES = {
    # There is no ACPI. identify_cpu() clears the flag of five-level page tables for a moment. In an interrupt at this
    # moment, KASAN reports every address as wild.
    "x86_64": Architecture(["qemu-system-x86_64", "-bios", "qboot.rom"], "arch/x86/boot/bzImage",
                           "console=ttyS0 reboot=t no5lvl"),
    "arm64": Architecture(["qemu-system-aarch64", "-machine", "virt"], "arch/arm64/boot/Image", "console=ttyAMA0",
                          "aarch64-linux-gnu-"),
}
KVM = ["-accel", "kvm", "-cpu", "host", "-smp", "2"]
TCG = ["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"]
# The signatures of pointers do not have to be safe here.
TCG_ARM64 = ["-accel", "tcg,thread=multi", "-cpu", "max,pauth-impdef=on", "-smp", "2"]
SCENARIOS = PROJECT / "tests/vm"

# The guest ends with a restart, on which QEMU exits because of -no-reboot. A panic restarts, too. Invalidations are
# called as they come.
APPEND = "ignore_loglevel panic=-1 oops=panic mmu_notifier.try_first=0"
# For guests in which each invalidation is tried first like by the OOM reaper. On UML this is always so.
TRY_FIRST = "mmu_notifier.try_first=1"
# The seconds after which a guest without news is stopped, on a quick machine.
LIMIT = 200
LIMIT_UML = 60
# The seconds until the first result of a guest, on a quick machine.
BOOT = 5
# A result, or the start of a test.
NEWS = re.compile(r"^(?:\[[^\]]*\] ?)*\s*(?:(?:not )?ok \d|#\s+(?:RUN|Subtest:)\s|bench: )", re.M)


class Patience:
    """The limit for a guest without news: `seconds`, and proportionally more if it boots slowly.

    A limit on the total time would fail slow guests: other guests and builds may run at the same time. The
    first news may take `first` seconds, if that is more.
    """

    def __init__(self, seconds, now, first=0):
        self.seconds = seconds
        self.first = max(first, seconds)
        self.start = self.since = now
        self.news = 0
        self.slowness = 1

    def left(self, news, now):
        """Return how many seconds are left to a guest that has printed `news` lines of results by `now`."""
        if news > self.news:
            if not self.news:
                self.slowness = max(1, (now - self.start) / BOOT)
            self.news, self.since = news, now
        return self.since + (self.seconds * self.slowness if self.news else self.first) - now


class Run:
    """One boot: console.log, for scenarios ktap.log, and a problem outside of the logs."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.console = folder / "console.log"
        self.ktap = folder / "ktap.log"
        self.own = folder / "host.log"
        for log in (self.console, self.ktap, self.own):
            log.unlink(missing_ok=True)
        self.problem = None
        self.seconds = 0.0

    def news(self):
        """Return the number of results so far."""
        return sum(len(NEWS.findall(log.read_text(errors="replace"))) for log in (self.console, self.ktap) if log.exists())

    def boot(self, label, command, limit, stdout, status=None, first=0):
        """Run `command` with its output in `stdout`, until it ends or has no news for `limit` seconds.

        `status` returns the progress as text. The first news may take `first` seconds, if that is more.
        """
        progress = Progress(label, command)
        start = time.monotonic()
        patience = Patience(limit, start, first)
        with open(stdout, "wb") as out:
            # A session of its own: UML has several processes, and all of them must be killed.
            process = subprocess.Popen([str(word) for word in command], env=environment(), stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                while process.poll() is None and (left := patience.left(self.news(), time.monotonic())) > 0:
                    progress.update(f"{status() if status else 'running'}, {left:.0f} s left without news")
                    with_timeout(process, 1)
                if process.poll() is None:
                    self.problem = f"hangs: no news for {time.monotonic() - patience.since:.0f} s"
                elif process.returncode:
                    self.problem = f"{pathlib.Path(command[0]).name} exited with {process.returncode}"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        progress.done()
        self.seconds = time.monotonic() - start
        return self


def text_of(path):
    """Return the text of a file from a guest, empty if there is no file."""
    return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""


def with_timeout(process, seconds):
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pass


def uml(label, obj, folder, append, limit=LIMIT_UML, status=None):
    """Boot the UML kernel in `obj`."""
    run = Run(folder)
    # uml_dir: otherwise a killed UML leaves its control socket in the home directory.
    command = [obj / "linux", "mem=512M", "console=tty", "panic=-1", f"uml_dir={folder}/", *append]
    return run.boot(label, command, limit, run.console, status and (lambda: status(run)))


def qemu(label, obj, folder, append, limit=LIMIT, memory="512M", initrd=None, machine=None, status=None):
    """Boot the kernel in `obj`, on the given `machine` or the best one available."""
    run = Run(folder)
    command = qemu_command(obj, machine or accelerator(obj), append, memory, initrd)
    command += ["-display", "none", "-serial", f"file:{run.console}", "-serial", f"file:{run.ktap}"]
    run.boot(label, command, limit, run.own, status and (lambda: status(run)), LIMIT)
    if run.problem and not run.console.exists():
        run.problem += ": " + run.own.read_text(errors="replace").strip()
    return run


def qemu_command(obj, machine, append, memory, initrd=None):
    arch = architecture(obj)
    append = [arch.append, APPEND, *(clock(obj) if machine == TCG else []), *append]
    command = [*arch.qemu, *machine, "-nodefaults", "-no-reboot", "-m", memory,
               "-kernel", obj / arch.image, "-append", " ".join(append)]
    return command + (["-initrd", initrd] if initrd else [])


def suffix(config):
    """Return the end of the names of results in configuration `config`: nothing for x86_64, which is the usual one."""
    return config.removeprefix("x86_64") if config.startswith("x86_64") else f"-{config}"


def architecture(obj):
    return ARCHITECTURES[CONFIGS[obj.name].arch]


def accelerator(obj):
    """Return the options for KVM if a boot proves that it works, otherwise for emulation; with two CPUs."""
    if CONFIGS[obj.name].arch == "arm64":
        # This machine is not one, and the clock of such a guest needs no help.
        return TCG_ARM64
    return KVM if kvm_works(obj) else TCG


def clock(obj):
    """Return the options for a reliable clock in an emulated guest on a busy machine; none without a TSC.

    The guest's only reference is the PIT. On a busy machine the interrupts of the PIT come late or get lost. The guest
    then measures a wrong frequency of the TSC, or none, or panics without a timer. QEMU emulates the TSC with the TSC
    of this machine, whose frequency can be measured well here.
    """
    khz = tsc_khz(obj.parent / "tsc")
    if not khz:
        return []
    hz = int(re.search(r"^CONFIG_HZ=(\d+)$", (obj / ".config").read_text(), re.M)[1])
    # Without lpj= each further CPU measures its delay loop, against the PIT again.
    return ["tsc=reliable", f"tsc_early_khz={khz}", f"lpj={khz * 1000 // hz}", "no_timer_check"]


@functools.cache
def tsc_khz(program):
    """Return the frequency of this machine's TSC, or None; `program` is tools/tsc.c, compiled, which measures it."""
    compiled = output(["clang", "-O2", "-Wall", "-Werror", PROJECT / "tools/tsc.c", "-o", program])
    measured = None if compiled.returncode else output([program])
    found = measured and measured.returncode == 0 and re.fullmatch(r"([1-9]\d*)\n", measured.stdout)
    return int(found[1]) if found else None


def kvm_works(obj):
    """Return whether the kernel in `obj` boots with KVM; tried once per boot of this machine.

    A /dev/kvm that opens is not enough: on some machines a guest then hangs before its first line.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    this_boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memory = cache() / "kvm"
    if memory.exists() and memory.read_text().split()[:1] == [this_boot]:
        return memory.read_text().split()[1] == "yes"
    # Without an init, the kernel panics at the end of its boot, which ends the probe.
    run = Run(cache() / "kvm-probe")
    command = qemu_command(obj, KVM, ["kunit.enable=0"], "256M")
    run.boot("trying KVM", [*command, "-display", "none", "-serial", f"file:{run.console}"], 15, run.own)
    works = run.problem is None and "Kernel panic" in run.console.read_text(errors="replace")
    memory.write_text(f"{this_boot} {'yes' if works else 'no'}\n")
    print(f"KVM {'works' if works else 'does not work'} on this machine{'' if works else ': emulating instead'}")
    return works


def scenarios(folder=SCENARIOS):
    """Return the scenarios in a folder: each name, and the settings in its header (`# memory: 256M`)."""
    found = {}
    for script in sorted(folder.glob("*.sh")):
        found[script.stem] = {"memory": "512M"} | dict(re.findall(r"^# (memory): (\w+)$", script.read_text(), re.M))
    return found


def scenario(label, name, settings, obj, folder, initrd, append=()):
    """Boot a guest that runs the scenario `name`."""
    append = [f"scenario={name}", "kunit.enable=0", *append]
    return qemu(label, obj, folder, append, memory=settings["memory"], initrd=initrd)
