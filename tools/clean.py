# SPDX-License-Identifier: GPL-2.0
"""Remove everything that was built or downloaded."""

import contextlib
import shutil

from common import arguments, cache, locked, main


def run():
    root = cache()
    # By name: NONBLOCK_CACHE may be a folder with other things in it.
    patterns = ["linux-*", "setup.*", "ccache", "tools", "kvm*"]
    ours = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    with contextlib.ExitStack() as stack:
        for folder in root.glob("linux-*"):
            stack.enter_context(locked(folder))
        before = shutil.disk_usage(root).free if ours else 0
        for path in ours:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    freed = shutil.disk_usage(root).free - before if ours else 0
    with contextlib.suppress(OSError):
        root.rmdir()    # if there is nothing else
    print(f"{root}: {freed / 2**30:.1f} GiB freed")


if __name__ == "__main__":
    main(run, arguments(__doc__))
