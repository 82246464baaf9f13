# SPDX-License-Identifier: GPL-2.0
"""Put patches and files into the reader's own kernel tree, all of them or none."""

import os
import shutil
import signal

from common import Failure, arguments, main
from tree import check_source, ksrc, patched, patches, project_files, refuse_foreign


def replace(contents):
    """Write files (path: bytes, or None to delete): first beside the old ones, in case the disk is full."""
    parts = {path: path.with_name(path.name + ".nonblock-part") for path, data in contents.items() if data is not None}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(contents[path])
            if path.exists():
                shutil.copymode(path, part)
        # A signal in this loop would leave the tree with a part of the files.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        for path in contents:
            if path in parts:
                os.replace(parts[path], path)
            else:
                path.unlink()
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def run():
    source = ksrc()
    if not source:
        raise Failure("KSRC is not set: make apply KSRC=/path/to/linux")
    applied = check_source(source)
    refuse_foreign(source)
    wanted = project_files() if applied else patched(source) | project_files()
    changed = {source / path: data for path, data in sorted(wanted.items())
               if data != ((source / path).read_bytes() if (source / path).exists() else None)}
    if not changed:
        print(f"{source} has all patches and files already: nothing to do")
        return
    replace(changed)
    for path in changed:
        print(f"    {path.relative_to(source)}")
    print(f"{source}: {len(changed)} files written" +
          ("; the patches were there" if applied else f", {len(patches())} patches among them"))


if __name__ == "__main__":
    main(run, arguments(__doc__))
