# SPDX-License-Identifier: GPL-2.0
"""Prepare a kernel tree: pristine source, then patches/, then the project's files.

Only what differs is written, so that make rebuilds only what changed. What we put there is listed in `tree.manifest`;
what patches change is kept in `pristine/` as it was. From the two everything can be taken back, also after an
interruption: the manifest is extended before the first write and shortened after the last.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from common import Failure, PROJECT, Progress, VERSION, cache, environment, locked, main, output

# Where a project path stands in the kernel tree, first match wins; None: not in the kernel tree.
PLACES = [
    (re.compile(r"tests/kunit/.*(\.config|\.kunitconfig)"), None),
    (re.compile(r"tests/kunit/(.*)"), r"lib/tests/rust/\1"),
    (re.compile(r"Kconfig"), "rust/Kconfig"),
    (re.compile(r"((rust|samples|include|Documentation)/.*)"), r"\1"),
]


class Tree:
    """A kernel tree, its build directories and its results, all in one folder of the cache."""

    def __init__(self, root):
        self.root = root
        self.src = root / "tree"
        self.pristine = root / "pristine"
        self.results = root / "results"
        self.manifest = root / "tree.manifest"

    def ours(self):
        """The files that are the project's or that its patches change, as paths in the kernel tree."""
        return set(self.manifest.read_text().splitlines())


def place(path):
    """The path in the kernel tree of a project file."""
    for pattern, target in PLACES:
        match = pattern.fullmatch(path)
        if match:
            return match.expand(target) if target else None
    return None


def project_files():
    """The project's files by their path in the kernel tree; those not yet added to git too, ignored ones not."""
    # A checkout that belongs to another user (sudo make ...) is as good as any: git only lists its files here.
    listing = output(["git", "-c", "safe.directory=*", "-C", PROJECT, "ls-files", "-zco", "--exclude-standard"])
    if listing.returncode:
        raise Failure(f"git cannot list the files of {PROJECT}: {listing.stdout.strip().splitlines()[-1]}")
    paths = {path: place(path) for path in listing.stdout.split("\0")}
    return {target: (PROJECT / path).read_bytes()
            for path, target in paths.items() if target and (PROJECT / path).is_file()}


def patches():
    return sorted((PROJECT / "patches" / VERSION).glob("*.patch"))


def touched(patch):
    """The paths a patch changes."""
    headers = re.findall(r"^--- (\S+).*\n\+\+\+ (\S+)", patch.read_text(errors="replace"), re.M)
    return {name.split("/", 1)[1] for pair in headers for name in pair if name != "/dev/null"}


def apply_patches(folder):
    """Apply every patch in order to the files in `folder`; name the first that does not fit."""
    for patch in patches():
        result = output(["patch", "-p1", "--fuzz=0", "--forward", "--batch", "--no-backup-if-mismatch",
                         "--reject-file=-", "--directory", folder, "--input", patch])
        if result.returncode:
            files = re.findall(r"^(?:checking|patching) file (\S+)", result.stdout.split("FAILED")[0], re.M)
            where = files[-1] if files else result.stdout.strip().splitlines()[-1]
            raise Failure(f"{patch.relative_to(PROJECT)} does not apply to this tree: see {where}")


def patched_files(tree):
    """What the files that patches touch look like afterwards, by path; None for one that is deleted."""
    paths = set().union(*map(touched, patches()))
    for path in paths - tree.ours():
        keep = tree.pristine / path
        if (tree.src / path).exists() and not keep.exists():
            write(tree, keep, (tree.src / path).read_bytes())
    with tempfile.TemporaryDirectory(dir=tree.root, prefix="patching.") as scratch:
        scratch = pathlib.Path(scratch)
        for path in paths:
            if (tree.pristine / path).exists():
                (scratch / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(tree.pristine / path, scratch / path)
        apply_patches(scratch)
        return {path: (scratch / path).read_bytes() if (scratch / path).exists() else None for path in paths}


def write(tree, path, data):
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = tree.root / "writing"
    part.write_bytes(data)
    os.replace(part, path)


def sync(tree, wanted):
    """Make the tree hold `wanted` (path: bytes, or None for no such file) and nothing else of ours."""
    before = tree.ours()
    contents = dict(wanted)
    for path in before - wanted.keys():
        keep = tree.pristine / path
        contents[path] = keep.read_bytes() if keep.exists() else None
    list_files(tree, contents)
    for path, data in contents.items():
        target = tree.src / path
        if data == (target.read_bytes() if target.exists() else None):
            continue
        if data is None:
            target.unlink()
        else:
            write(tree, target, data)
    list_files(tree, wanted)


def list_files(tree, paths):
    write(tree, tree.manifest, "".join(f"{path}\n" for path in sorted(paths)).encode())


def unpack(tree):
    """Unpack the pristine source; one that was interrupted starts again."""
    archive = tree.root / f"linux-source-{VERSION}.tar.xz"
    if not archive.exists():
        raise Failure(f"the kernel source is not in {tree.root}: run tools/setup")
    tree.manifest.unlink(missing_ok=True)
    part = tree.root / "tree.partial"
    for old in (part, tree.src, tree.pristine):
        if old.exists():
            shutil.rmtree(old)
    part.mkdir()
    progress = Progress("unpacking the kernel source")
    command = ["tar", "--extract", "--file", archive, "--strip-components=1", "--directory", part]
    with subprocess.Popen(command, env=environment() | {"XZ_OPT": "-T0"}, stderr=subprocess.PIPE, text=True) as tar:
        while True:
            try:
                errors = tar.communicate(timeout=1)[1]
                break
            except subprocess.TimeoutExpired:
                progress.update("takes about 15 s")
    if tar.returncode:
        raise Failure(f"cannot unpack {archive}: {errors.strip().splitlines()[-1]}")
    part.rename(tree.src)
    list_files(tree, [])
    progress.done("done")


def prepare(tree):
    """Bring the tree up to date with the project."""
    if not (tree.manifest.exists() and tree.src.is_dir()):
        unpack(tree)
    files = project_files()
    for path in files.keys() - tree.ours():
        if (tree.src / path).exists():
            raise Failure(f"the kernel has {path} already: a change to it is a patch in patches/{VERSION}")
    sync(tree, patched_files(tree) | files)


@contextlib.contextmanager
def prepared():
    """A prepared tree that is nobody else's until the end of the `with` block."""
    tree = Tree(cache() / f"linux-{VERSION}")
    with locked(tree.root):
        prepare(tree)
        yield tree


def run(_):
    with prepared() as tree:
        print(f"{tree.src}: {len(patches())} patches, {len(tree.ours())} files of the project or changed by it")


if __name__ == "__main__":
    main(run)
