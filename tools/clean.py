# SPDX-License-Identifier: GPL-2.0
"""Remove everything that was built or downloaded."""

import contextlib
import os
import shutil

from common import arguments, cache, locked, main


def size(folder):
    """The space on disk of everything in `folder`, in bytes."""
    total = 0
    for entry in os.scandir(folder):
        total += entry.stat(follow_symlinks=False).st_blocks * 512
        if entry.is_dir(follow_symlinks=False):
            total += size(entry)
    return total


def run():
    root = cache()
    # By name: NONBLOCK_CACHE may be a folder with other things in it.
    patterns = ["linux-*", "setup.*", "ccache", "tools", "kvm*"]
    ours = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    with contextlib.ExitStack() as stack:
        for folder in root.glob("linux-*"):
            stack.enter_context(locked(folder))
        before = sum(size(path) if path.is_dir() else path.stat().st_size for path in ours)
        for path in ours:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    with contextlib.suppress(OSError):
        root.rmdir()    # if there is nothing else
    print(f"{root}: {before / 2**30:.1f} GiB freed")


if __name__ == "__main__":
    main(run, arguments(__doc__))
