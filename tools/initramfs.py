# SPDX-License-Identifier: GPL-2.0
"""Compile the programs of a guest, and pack them into an initramfs."""

import pathlib
import re
import shlex
import subprocess

from build import CONFIGS
from common import Failure, PROJECT, cache, output
from guest import SCENARIOS

# The folders with the scripts and programs of guests.
FOLDERS = [SCENARIOS, PROJECT / "tests/bench", PROJECT / "tests/reap"]

# The folders of each guest, beside those of its files.
FILESYSTEM = ["/bin", "/dev", "/proc", "/sys", "/tmp", "/tests", "/lib", "/lib/modules", "/root"]


def sysroot(arch):
    """Return the folder with the C library and busybox of an architecture; tools/setup installs that of arm64."""
    if arch == "x86_64":
        return pathlib.Path("/")
    folder = cache() / "tools" / arch
    if not folder.exists():
        raise Failure(f"there is no C library of {arch}: run tools/setup {arch}")
    return folder


def target(arch):
    """Return the options of clang for programs of an architecture."""
    return [] if arch == "x86_64" else ["--target=aarch64-linux-gnu", f"--sysroot={sysroot(arch)}"]


def initramfs(tree, obj, more=None, name="initramfs"):
    """Pack an initramfs for a guest: busybox, tools/init, modules, programs and scenarios.

    It also has the files in `more`, as {path in the guest: file}, and then a `name` of its own.
    """
    lines = [f"dir {folder} 755 0 0" for folder in FILESYSTEM]
    lines += ["nod /dev/console 600 0 0 c 5 1", "slink /bin/sh busybox 755 0 0"]
    # Paths are relative to the project: gen_init_cpio cannot read names with spaces.
    arch = CONFIGS[obj.name].arch
    files = {"/init": "tools/init", "/bin/busybox": sysroot(arch) / "usr/bin/busybox"}
    if not files["/bin/busybox"].exists():
        files["/bin/busybox"] = sysroot(arch) / "bin/busybox"
    modules = (obj / "modules.order").read_text().split()
    files |= {f"/lib/modules/{pathlib.Path(module).stem}.ko": obj / pathlib.Path(module).with_suffix(".ko")
              for module in modules}
    files |= {f"/tests/{script.name}": script.relative_to(PROJECT)
              for folder in FOLDERS for pattern in ("*.sh", "*.inc") for script in folder.glob(pattern)}
    files["/tests/ktap_helpers.sh"] = tree.src / "tools/testing/selftests/kselftest/ktap_helpers.sh"
    files |= {f"/tests/{program.name}": program for program in programs(tree, arch)}
    files |= more or {}
    folders = {parent for path in files for parent in pathlib.PurePath(path).parents}
    lines += [f"dir {folder} 755 0 0" for folder in sorted(folders) if str(folder) not in ("/", *FILESYSTEM)]
    lines += [f"file {path} {source} 755 0 0" for path, source in sorted(files.items())]
    contents = tree.root / "initramfs.list"
    contents.write_text("\n".join(lines) + "\n")
    image = obj / f"{name}.cpio"
    with open(image, "wb") as out:
        result = subprocess.run([obj / "usr/gen_init_cpio", contents], cwd=PROJECT, stdout=out, stderr=subprocess.PIPE,
                                text=True)
    if result.returncode:
        raise Failure(f"cannot pack the initramfs: {result.stderr.strip()}")
    return image


def libraries(programs):
    """Return {path in the guest: file} of the libraries that the programs are linked with."""
    linked = re.findall(r"(?:=> |^\s+)(/\S+) \(", output(["ldd", *programs]).stdout, re.M)
    return {path: pathlib.Path(path) for path in linked}


def with_libraries(program):
    """Return {path in the guest: file} of a program of this machine, and of its libraries."""
    if not pathlib.Path(program).exists():
        raise Failure(f"there is no {program} on this machine: run tools/setup")
    return {program: pathlib.Path(program)} | libraries([program])


def compile_program(tree, arch, folder, program, sources, flags, libraries=("-static",)):
    """Compile one program of a guest into `folder`; ccache makes it quick."""
    folder.mkdir(exist_ok=True)
    selftests = tree.src / "tools/testing/selftests"
    # In tests/vm is a kselftest_harness.h that comes before theirs.
    flags = ["-O2", "-Wall", "-pthread", f"-fmacro-prefix-map={PROJECT}/=", "-I", SCENARIOS, "-I", selftests,
             *target(arch), *flags]
    objects = [folder / f"{source.stem}.o" for source in sources]
    steps = [["ccache", "clang", *flags, "-c", source, "-o", built] for source, built in zip(sources, objects)]
    linker = ["-fuse-ld=lld"] if target(arch) else []
    steps += [["clang", *target(arch), *linker, "-pthread", *objects, *libraries, "-o", folder / program]]
    for step in steps:
        result = output(step)
        if result.returncode:
            raise Failure(f"{program} does not compile:\n{result.stdout}{shlex.join(map(str, step))}")
    return folder / program


def programs(tree, arch):
    """Compile the programs, and the selftest that one of the scenarios runs."""
    selftests = tree.src / "tools/testing/selftests"
    ours = ["-Wextra", "-Wno-unused-parameter", "-Werror", "-I", tree.src / "samples/rust", "-I", tree.src]
    theirs = ["-D_GNU_SOURCE=", "-I", tree.src, "-isystem", tree.src / "tools/include/uapi"]
    wanted = {source.stem: (ours, [source])
              for source in sorted(source for folder in FOLDERS for source in folder.glob("*.c"))}
    wanted["hmm-tests"] = (theirs, [selftests / "mm" / f"{name}.c"
                                    for name in ("hmm-tests", "hugepage_settings", "vm_util")])
    folder = tree.root / ("programs" if arch == "x86_64" else f"programs-{arch}")
    return [compile_program(tree, arch, folder, program, sources, flags)
            for program, (flags, sources) in wanted.items()]
