# SPDX-License-Identifier: GPL-2.0
"""Start an interactive guest with the modules loaded, and the test programs and files of your own in /tests."""

import argparse
import os
import pathlib
import re

import build as kernel
import guest
from common import Failure, arguments, environment, main
from initramfs import compile_program, initramfs
from tree import prepared

# The build directory of a kernel with a fragment, and of the programs.
OWN = "shell"


def memory(text):
    """Return the size of a guest's memory, as QEMU takes it."""
    if not re.fullmatch(r"[1-9]\d*[MG]", text):
        raise argparse.ArgumentTypeError(f"{text} is no size: write 512M or 2G")
    return text


def readable(text):
    """Return the path of a file that is there."""
    path = pathlib.Path(text).absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def configuration(fragment):
    """Return the configuration to boot: the usual one, or one that has the options of `fragment`, too."""
    if not fragment:
        return "x86_64"
    usual = kernel.CONFIGS["x86_64"]
    kernel.CONFIGS[OWN] = kernel.Config(usual.arch, usual.fragments, fragment.read_text())
    return OWN


def programs(tree, files):
    """Compile the files in C, and return all as {path in the guest: file}."""
    found = {}
    for path in files:
        program = path.stem if path.suffix == ".c" else path.name
        if f"/tests/{program}" in found:
            raise Failure(f"two files would be /tests/{program} in the guest: rename {path}")
        if path.suffix == ".c":
            path = compile_program(tree, "x86_64", tree.root / OWN / "programs", program, [path],
                                   ["-I", tree.src / "samples/rust"])
        found[f"/tests/{program}"] = path
    return found


def run(fragment, memory, files):
    with prepared() as tree:
        obj = kernel.build(tree, configuration(fragment))
        (tree.root / OWN).mkdir(exist_ok=True)
        initrd = initramfs(tree, obj, programs(tree, files))
        # The console shows warnings and worse; `dmesg` has the rest.
        append = ["scenario=shell", "kunit.enable=0", "printk.ignore_loglevel=0", "loglevel=5"]
        command = guest.qemu_command(obj, guest.accelerator(obj), append, memory, initrd)
    # The lock is released: other runs need not wait until this guest ends.
    command += ["-display", "none", "-serial", "mon:stdio"]
    print("starting a guest; Ctrl-A X ends it", flush=True)
    os.execvpe(command[0], [str(word) for word in command], environment())


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--fragment", type=readable, metavar="FILE",
                        help="build and boot a kernel with these options, too")
    parser.add_argument("--memory", type=memory, default="512M", metavar="SIZE",
                        help="how much memory the guest has: 512M if nothing is given")
    parser.add_argument("files", nargs="*", type=readable, metavar="FILE",
                        help="what is to be in /tests: programs in C, which are compiled, and scripts")
    main(run, parser)
