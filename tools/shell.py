# SPDX-License-Identifier: GPL-2.0
"""Start an interactive guest with the modules loaded and the sample programs in /tests."""

import os

import guest
from build import build
from common import arguments, environment, main
from initramfs import initramfs
from tree import prepared


def run():
    with prepared() as tree:
        obj = build(tree, "x86_64")
        # The console shows warnings and worse; `dmesg` has the rest.
        append = ["scenario=shell", "kunit.enable=0", "printk.ignore_loglevel=0", "loglevel=5"]
        command = guest.qemu_command(obj, guest.accelerator(obj), append, "512M", initramfs(tree, obj))
    # The lock is released: other runs need not wait until this guest ends.
    command += ["-display", "none", "-serial", "mon:stdio"]
    print("starting a guest; Ctrl-A X ends it", flush=True)
    os.execvpe(command[0], [str(word) for word in command], environment())


if __name__ == "__main__":
    main(run, arguments(__doc__))
