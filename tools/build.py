# SPDX-License-Identifier: GPL-2.0
"""Configure and build a kernel from the prepared tree; every named configuration has its own build directory."""

import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import threading

from common import Failure, PROJECT, Progress, arguments, cache, environment, main
from tree import prepared


@dataclasses.dataclass
class Config:
    """A kernel to build.

    Its options are those of `fragments`, which are files in configs/, and then `options`, which win. `files` is about
    how many files a first build compiles. `variables` and `goals` are for make.
    """
    arch: str
    fragments: list[str]
    options: str = ""
    files: int = 900
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    goals: tuple[str, ...] = ("all",)

    def text(self):
        return "".join((PROJECT / f"configs/{name}.config").read_text() for name in self.fragments) + self.options


X86_64 = ["common", "lean", "guest", "x86_64"]
ARM64 = ["common", "lean", "guest", "arm64"]
BENCH = ["bench", "bench-guest"]
# Bitcode, for tools/prove.
BITCODE = {
    # As the front end makes it: passes would take away the types by which fields of structs are told apart.
    "CC_FLAGS_LTO": "-flto -fvisibility=hidden -Xclang -disable-llvm-passes",
    "KCFLAGS": "-gline-tables-only",
    # rustc has no such objects, and puts the bitcode beside them. The types in the debug information show which
    # functions take a guard; two that are the same code remain two.
    "KRUSTFLAGS": "-Cdebuginfo=2 -Zmerge-functions=disabled --emit=llvm-bc",
    # Bitcode is neither linked nor given to objtool.
    "cmd_ld_single": "",
    "cmd_ld_multi_m": "touch $@",
    "objtool-enabled": "",
    "KBUILD_MODULES": "y",
}
# The objects of large drivers that have callbacks of MMU notifiers, and objects that they call.
USERS = (
    "drivers/accel/amdxdna/amdxdna_gem.o",
    "drivers/gpu/drm/amd/amdgpu/amdgpu_hmm.o",
    "drivers/gpu/drm/amd/amdgpu/../amdkfd/kfd_svm.o",
    "drivers/gpu/drm/drm_gpusvm.o",
    "drivers/gpu/drm/drm_print.o",
    "drivers/gpu/drm/i915/gem/i915_gem_userptr.o",
    "drivers/gpu/drm/nouveau/nouveau_svm.o",
    "drivers/gpu/drm/radeon/radeon_mn.o",
    "drivers/gpu/drm/radeon/radeon_ttm.o",
    "drivers/gpu/drm/xe/xe_userptr.o",
    "drivers/infiniband/hw/mlx5/odp.o",
    "drivers/xen/gntdev.o",
    "kernel/locking/mutex.o",
    "mm/mmu_notifier.o",
)
CONFIGS = {
    # The quick one: no SMP, and no lockdep because that switches itself off at boot.
    "uml": Config("um", ["common", "lean"], files=600),
    "x86_64": Config("x86_64", [*X86_64, "kasan", "rxe"], files=1250),
    "x86_64-rt": Config("x86_64", [*X86_64, "rt"], files=800),
    "arm64": Config("arm64", ARM64),
    "arm64-16k": Config("arm64", ARM64, "# CONFIG_ARM64_4K_PAGES is not set\nCONFIG_ARM64_16K_PAGES=y\n"),
    "bench": Config("x86_64", [*X86_64, *BENCH], "CONFIG_RUST_INLINE_HELPERS=y\n"),
    "bench-calls": Config("x86_64", [*X86_64, *BENCH], "# CONFIG_RUST_INLINE_HELPERS is not set\n"),
    "bench-arm64": Config("arm64", [*ARM64, *BENCH], "CONFIG_RUST_INLINE_HELPERS=y\n"),
    "bench-arm64-calls": Config("arm64", [*ARM64, *BENCH], "# CONFIG_RUST_INLINE_HELPERS is not set\n"),
    "bench-uml": Config("um", ["common", "lean", "bench"], files=600),
    "prove": Config("x86_64", ["common", "prove"], files=1900, variables=BITCODE, goals=("vmlinux_a", "modules.order")),
    "prove-users": Config("x86_64", ["common", "prove", "prove-users"], files=60, variables=BITCODE, goals=USERS),
}

COMPILED = re.compile(r"  (CC|AS|RUSTC|HOSTCC|HOSTRUSTC|BINDGEN)\b")
KBUILD_LINE = re.compile(r"  [A-Z0-9]+ |make(\[\d+\])?:")


def tools():
    """Return the variables of the kernel's make for the toolchain."""
    return {
        "LLVM": "1",
        "CC": "ccache clang",
        "RUSTC": "/usr/bin/rustc",
        "RUSTDOC": "/usr/bin/rustdoc",
        "RUSTFMT": "/usr/bin/rustfmt",
        "CLIPPY_DRIVER": "/usr/bin/clippy-driver",
        "BINDGEN": bindgen(),
        # The call trace of a report then has line numbers.
        "KRUSTFLAGS": "-Cdebuginfo=line-tables-only",
        # A constant date avoids linking again.
        "KBUILD_BUILD_TIMESTAMP": "@0",
        "KBUILD_BUILD_USER": "nonblock",
        "KBUILD_BUILD_HOST": "nonblock",
    }


def bindgen():
    built = cache() / "tools/bindgen/bin/bindgen"
    return str(built if built.exists() else "/usr/bin/bindgen")


def make(tree, name, *words):
    """Return the make command for configuration `name`."""
    variables = {"ARCH": CONFIGS[name].arch, "O": tree.root / name} | tools() | CONFIGS[name].variables
    return ["make", "-C", str(tree.src), *(f"{key}={value}" for key, value in variables.items()), *words]


def configure(tree, name):
    """Make .config from the fragments with the kernel's kunit.py, which fails if an option of them is missing."""
    text = CONFIGS[name].text()
    obj = tree.root / name
    stamp = obj / ".configured"
    inputs = config_inputs(tree, text)
    if stamp.exists() and stamp.read_text() == inputs and (obj / ".config").exists():
        return
    # kunit.py keeps a .config that has the options even if Kconfig files changed.
    for old in (stamp, obj / ".config"):
        old.unlink(missing_ok=True)
    # In one file a later fragment wins over an earlier; given as several, kunit.py refuses to choose.
    wanted = obj / "fragments.config"
    wanted.write_text(text)
    command = ["tools/testing/kunit/kunit.py", "config", f"--arch={CONFIGS[name].arch}", f"--build_dir={obj}",
               f"--kunitconfig={wanted}"]
    command += [f"--make_options={key}={value}" for key, value in tools().items()]
    log = result_folder(tree, name) / "config.log"
    with open(log, "w") as out:
        result = subprocess.run(["python3", *command], cwd=tree.src, env=environment(), stdin=subprocess.DEVNULL,
                                stdout=out, stderr=subprocess.STDOUT)
    if result.returncode:
        text = log.read_text(errors="replace")
        missing = re.search(r"Missing: (.*)", text)
        reason = text.strip().splitlines()[-1]
        if missing:
            # The list also has options that are off on purpose.
            have = (obj / ".config").read_text()
            wrong = [line for line in missing[1].split(", ")
                     if not line.startswith("# ") or f"\n{line.split()[1]}=" in have]
            reason = f"options that Kconfig does not accept: {', '.join(wrong)}"
        raise Failure(f"{name} cannot be configured: {reason} (log: {log})")
    stamp.write_text(inputs)


def config_inputs(tree, text):
    """Return a digest of the options, the Kconfig files and the toolchain: a change makes .config again."""
    kconfigs = [tree.src / path for path in sorted(tree.ours()) if pathlib.Path(path).name.startswith("Kconfig")]
    digest = hashlib.sha256(text.encode())
    for path in kconfigs:
        if path.exists():
            digest.update(path.read_bytes())
    path = environment()["PATH"]
    for tool in ("clang", "ld.lld", "/usr/bin/rustc", bindgen()):
        program = shutil.which(tool, path=path)
        if not program:
            raise Failure(f"{tool} is not installed: run tools/setup")
        stat = os.stat(program)
        digest.update(f"{tool} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def result_folder(tree, name):
    folder = tree.results / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(tree, name, *words):
    """Build configuration `name`, show the progress, and return its build directory; `words` are for make."""
    obj = tree.root / name
    if re.search(r"[\s:]", str(obj)):
        raise Failure(f"make cannot work in {obj}, because its name has a space or a colon: "
                      "set NONBLOCK_CACHE to another folder")
    obj.mkdir(exist_ok=True)
    configure(tree, name)
    touch_warned(tree, obj)
    log = result_folder(tree, name) / "build.log"
    jobs = len(os.sched_getaffinity(0))
    try:
        failed = run_make(tree, name, log, make(tree, name, f"-j{jobs}", *(words or CONFIGS[name].goals)))
    finally:
        warned = find_warnings(tree, obj, log)
    if failed:
        raise Failure(f"{name} does not build:\n{explain(log.read_text(errors='replace'))}\nlog: {log}")
    if warned:
        raise Failure(f"{name}: warnings in {', '.join(sorted(warned))}:\n" +
                      "\n".join(block for blocks in warned.values() for block in blocks) + f"\nlog: {log}")
    return obj


def run_make(tree, name, log, command):
    """Run make with its output in `log`, count the files, and return the exit code."""
    of_all = "" if (tree.root / name / "vmlinux").exists() else f" of ~{CONFIGS[name].files}"
    count = 0

    def read(stream):
        nonlocal count
        with open(log, "w", buffering=1) as out:
            for line in stream:
                out.write(line)
                count += bool(COMPILED.match(line))

    progress = Progress(name, command)
    process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    reader = threading.Thread(target=read, args=(process.stdout,))
    reader.start()
    try:
        while reader.is_alive():
            progress.update(f"{count}{of_all} files")
            reader.join(1)
        process.wait()
    except KeyboardInterrupt:
        # make removes half-written files before it ends.
        process.terminate()
        process.wait()
        reader.join()
        raise
    progress.done(f"{count} files built" if count else None)
    return process.returncode


def blocks(text, start):
    """Return the messages in a build log that begin with `start`, each with its lines."""
    messages, current = [], None
    for line in text.splitlines():
        if start.search(line):
            current = [line]
            messages.append(current)
        elif not line.strip() or KBUILD_LINE.match(line):
            current = None
        elif current and len(current) < 30:
            current.append(line)
    return ["\n".join(block) for block in messages]


def explain(text):
    """Return the errors in the log of a build."""
    if "No space left on device" in text:
        return f"no space left in {cache()}: free some space, or set NONBLOCK_CACHE to another folder"
    errors = blocks(text, re.compile(r"(^|\s)(fatal )?error(\[E\d+\])?: |^ERROR: |undefined reference"))
    errors = errors or blocks(text, re.compile(r"\*\*\* "))[:1] or text.splitlines()[-15:]
    return "\n".join(errors[:8])


def find_warnings(tree, obj, log):
    """Return the warnings in files of the project, {path: blocks}, and print the number of the others."""
    text = log.read_text(errors="replace") if log.exists() else ""
    ours, others = {}, 0
    for block in blocks(text, re.compile(r"(^|\s)warning: (?!\d+ warnings? emitted)|^WARNING: ")):
        paths = [path for path in tree.ours() if is_about(block, path)]
        others += not paths
        for path in paths:
            ours.setdefault(path, []).append(block)
    if ours:
        with open(obj / ".warned", "a") as warned:
            warned.writelines(f"{path}\n" for path in sorted(ours))
    if others:
        print(f"{obj.name}: {others} warnings in files of the kernel (log: {log})")
    return ours


def is_about(block, path):
    """Return whether a warning is about the file `path` or its object; other paths in it are details."""
    lines = block.splitlines()
    where = "\n".join(lines[:1] + [line for line in lines if re.match(r"\s*(-->|:::) ", line)][:1])
    return any(re.search(rf"(^|[\s/]){re.escape(name)}($|[\s:])", where, re.M)
               for name in (path, re.sub(r"\.\w+$", ".o", path)))


def touch_warned(tree, obj):
    """Compile the files with warnings again: otherwise make does not repeat the warnings."""
    warned = obj / ".warned"
    if warned.exists():
        for path in warned.read_text().split():
            if (tree.src / path).exists():
                (tree.src / path).touch()
        warned.unlink()


def run(names):
    for name in names or ["uml", "x86_64"]:
        with prepared() as tree:
            print(f"{name}: {build(tree, name)}")


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("names", nargs="*", choices=CONFIGS, metavar="NAME",
                        help=f"a configuration, uml and x86_64 if none is given: {', '.join(CONFIGS)}")
    main(run, parser)
