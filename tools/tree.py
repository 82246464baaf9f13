# SPDX-License-Identifier: GPL-2.0
"""Prepare a kernel tree: pristine source, then patches/, then the project's files.

Only what differs is written, so that make rebuilds only what changed. What we put there is listed in `tree.manifest`;
what was there before is kept in `pristine/`. From the two everything can be taken back, also after an interruption: the
manifest is extended before the first write and shortened after the last.

The pristine source is unpacked, or with KSRC= copied from there: nothing is built or written in a KSRC.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

from common import Failure, PROJECT, Progress, VERSION, arguments, cache, environment, locked, main, output

# The place of project files in the kernel tree; a file that matches no pattern is not in it.
PLACES = [
    (re.compile(r"bench/(.*)"), r"lib/tests/rust/bench/\1"),
    (re.compile(r"tests/kunit/(.*)"), r"lib/tests/rust/\1"),
    (re.compile(r"Kconfig"), "lib/tests/rust/Kconfig"),
    (re.compile(r"((rust|samples|mm|include|Documentation)/.*)"), r"\1"),
]


class Tree:
    """A kernel tree, its build directories and its results, all in one folder of the cache."""

    def __init__(self, root):
        self.root = root
        self.src = root / "tree"
        self.pristine = root / "pristine"
        self.results = root / "results"
        self.manifest = root / "tree.manifest"
        self.copied = root / "copied.json"

    def ours(self):
        """Return the files of the project and those that its patches change, as paths in the kernel tree."""
        return set(self.manifest.read_text().splitlines())


def place(path):
    """Return the path of a project file in the kernel tree."""
    for pattern, target in PLACES:
        match = pattern.fullmatch(path)
        if match:
            return match.expand(target)
    return None


def project_files():
    """Return the project's files by their path in the kernel tree, even if not yet in git, but not if ignored."""
    # The checkout may belong to another user (sudo make ...): git only lists its files here.
    listing = output(["git", "-c", "safe.directory=*", "-C", PROJECT, "ls-files", "-zco", "--exclude-standard"])
    if listing.returncode:
        raise Failure(f"git cannot list the files of {PROJECT}: {listing.stdout.strip().splitlines()[-1]}")
    paths = {path: place(path) for path in listing.stdout.split("\0")}
    return {target: (PROJECT / path).read_bytes()
            for path, target in paths.items() if target and (PROJECT / path).is_file()}


def patches():
    """Return the patches in the order of their numbers."""
    return sorted((PROJECT / "patches").glob("*/*.patch"), key=lambda path: path.name)


def touched(patch):
    """Return the paths that a patch changes."""
    headers = re.findall(r"^--- (\S+).*\n\+\+\+ (\S+)", patch.read_text(errors="replace"), re.M)
    return {name.split("/", 1)[1] for pair in headers for name in pair if name != "/dev/null"}


def apply_patches(folder, reverse=False):
    """Apply every patch in order to the files in `folder`; fail with the name of the first that does not fit."""
    # A patch that only adds files of the project has no diff.
    changing = [patch for patch in patches() if touched(patch)]
    for patch in reversed(changing) if reverse else changing:
        result = output(["patch", "-p1", "--fuzz=0", "--forward", *["--reverse"] * reverse, "--batch",
                         "--no-backup-if-mismatch", "--reject-file=-", "--directory", folder, "--input", patch])
        if result.returncode:
            raise Failure(f"{patch.relative_to(PROJECT)} does not apply to this tree: see {misfit(result.stdout)}")


def misfit(report):
    """Return the file at which patch(1) failed, from its report."""
    where = report.strip().splitlines()[-1]
    for line in report.splitlines():
        name = re.match(r"patching file (\S+)|\|\+\+\+ [^/]+/(\S+)", line)
        if name:
            where = name[1] or name[2]
        elif "FAILED" in line or "Skipping patch" in line:
            break
    return where


def patched_paths():
    return set().union(*map(touched, patches()))


def patched(source, reverse=False):
    """Return the contents of the patched files of `source`, by path; None for a missing file."""
    paths = patched_paths()
    with tempfile.TemporaryDirectory(prefix="nonblock.") as scratch:
        scratch = pathlib.Path(scratch)
        for path in paths:
            if (source / path).exists():
                (scratch / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / path, scratch / path)
        apply_patches(scratch, reverse)
        return {path: (scratch / path).read_bytes() if (scratch / path).exists() else None for path in paths}


def keep(tree, paths):
    """Back up each original before we first overwrite it."""
    for path in paths - tree.ours():
        if (tree.src / path).exists() and not (tree.pristine / path).exists():
            write(tree, tree.pristine / path, (tree.src / path).read_bytes())


def write(tree, path, data):
    """Write a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = tree.root / "writing"
    part.write_bytes(data)
    os.replace(part, path)


def sync(tree, wanted):
    """Make the tree hold `wanted` (path: bytes, or None for no such file) and no other file of ours."""
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
    """Unpack the pristine source; after an interruption, start again."""
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
        shutil.rmtree(part)
        if "No space left" in errors:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        why = errors.strip().splitlines()[0]
        raise Failure(f"cannot unpack {archive} ({why}): remove it and run the same command again")
    part.rename(tree.src)
    list_files(tree, [])
    progress.done("done")


def check_source(ksrc):
    """Fail for a kernel source that does not fit; return whether it has our patches already."""
    if not ksrc.is_dir():
        raise Failure(f"KSRC={ksrc} is not a directory")
    makefile = ksrc / "Makefile"
    text = makefile.read_text(errors="replace") if makefile.is_file() else ""
    numbers = dict(re.findall(r"^(VERSION|PATCHLEVEL) = (\d+)$", text, re.M))
    if len(numbers) < 2 or not (ksrc / "Kbuild").is_file():
        raise Failure(f"KSRC={ksrc} is not the source of a Linux kernel")
    version = f"{numbers['VERSION']}.{numbers['PATCHLEVEL']}"
    if version != VERSION:
        raise Failure(f"KSRC={ksrc} is Linux {version}; the patches are for {VERSION}")
    if not (ksrc / "rust/kernel").is_dir():
        raise Failure(f"KSRC={ksrc} has no rust/kernel: it is incomplete")
    applied = True
    try:
        patched(ksrc, reverse=True)
    except Failure:
        applied = False
    if not applied:
        try:
            patched(ksrc)
        except Failure as failure:
            raise Failure(str(failure).replace("this tree", f"KSRC={ksrc}")) from None
        refuse_foreign(ksrc)
    return applied


def refuse_foreign(ksrc):
    """Fail for a kernel source that has a foreign file at the place of one of ours."""
    foreign = [path for path, data in sorted(project_files().items()) if is_foreign(ksrc / path, data)]
    if foreign:
        raise Failure(f"KSRC={ksrc} has a different {foreign[0]} than this project, or a changed one: move it away")


def is_foreign(path, data):
    """Return whether the file exists, differs from `data`, and was never committed to the project."""
    if not path.exists() or path.read_bytes() == data:
        return False
    git = ["git", "-c", "safe.directory=*", "-C", PROJECT]
    blob = output([*git, "hash-object", "--no-filters", path.absolute()]).stdout.strip()
    return output([*git, "cat-file", "-e", blob]).returncode != 0


def source_files(ksrc):
    """Return the paths of the files of a kernel source, without built files."""
    if (ksrc / ".git").exists():
        listing = output(["git", "-c", "safe.directory=*", "-C", ksrc, "ls-files", "-zco", "--exclude-standard"])
        if listing.returncode:
            raise Failure(f"git cannot list the files of KSRC={ksrc}: {listing.stdout.strip().splitlines()[-1]}")
        paths = {path for path in listing.stdout.split("\0") if path and not path.endswith("/")}
        # Debian's source ignores itself: it was not added to that git.
        if "Makefile" in paths:
            return paths
    if (ksrc / ".config").exists() or (ksrc / "include/config").exists():
        raise Failure(f"KSRC={ksrc} was built in, and git cannot distinguish its source from built files: "
                      "`make mrproper` there first")
    # Links to folders are files here, too, but os.walk lists them as folders.
    paths = {f"{folder}/{name}"[len(str(ksrc)) + 1:] for folder, folders, names in os.walk(ksrc)
             for name in [*names, *(name for name in folders if os.path.islink(f"{folder}/{name}"))]}
    return {path for path in paths if not path.startswith(".git/")}


def copy_source(tree, ksrc):
    """Bring the pristine copy of `ksrc` up to date.

    A file is read again if its size or time changed. It is written if its contents changed, with the current time:
    otherwise make would not notice a file that was replaced by an older one.
    """
    paths = source_files(ksrc)
    if not (tree.copied.exists() and tree.manifest.exists()):
        for old in (tree.src, tree.pristine):
            if old.exists():
                shutil.rmtree(old)
        tree.src.mkdir()
        list_files(tree, [])
        write(tree, tree.copied, b"{}")
    before = json.loads(tree.copied.read_text())
    ours = tree.ours()
    now = {}
    progress = Progress(f"copying {ksrc}")
    for number, path in enumerate(sorted(paths)):
        try:
            status = os.lstat(ksrc / path)
        except FileNotFoundError:
            continue    # deleted, but still in git
        if stat.S_ISDIR(status.st_mode):
            continue    # a repository of its own
        now[path] = [status.st_size, status.st_mtime_ns, status.st_mode]
        if now[path] != before.get(path):
            copy_file(tree, ksrc / path, (tree.pristine if path in ours else tree.src) / path)
            if number % 500 == 0:
                progress.update(f"{number} of {len(paths)} files")
    for path in before.keys() - now.keys():
        ((tree.pristine if path in ours else tree.src) / path).unlink(missing_ok=True)
    # A backup for a file that we no longer overwrite is out of date from now on.
    for saved in [file for file in tree.pristine.rglob("*") if file.is_file()]:
        if str(saved.relative_to(tree.pristine)) not in ours:
            saved.unlink()
    if now != before:
        write(tree, tree.copied, json.dumps(now).encode())
    progress.done("done" if now != before else None)


def copy_file(tree, source, target):
    if source.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(os.readlink(source))
        return
    data = source.read_bytes()
    if target.is_symlink() or not target.exists() or target.read_bytes() != data:
        write(tree, target, data)
    target.chmod(source.stat().st_mode & 0o777 | 0o600)


def ksrc():
    """Return the user's own kernel source, if there is one."""
    return pathlib.Path(os.environ["KSRC"]).absolute() if os.environ.get("KSRC") else None


def prepare(tree, source=None, applied=False):
    """Bring the tree up to date with the project, and with the source `source`, which may have the patches `applied`."""
    files = project_files()
    if source:
        copy_source(tree, source)
    elif not (tree.manifest.exists() and tree.src.is_dir()):
        unpack(tree)
    for path in files.keys() - tree.ours():
        if not source and (tree.src / path).exists():
            raise Failure(f"the kernel has {path} already: make a patch in patches/ instead")
    keep(tree, files.keys() | patched_paths())
    sync(tree, files if applied else patched(tree.pristine) | files)


@contextlib.contextmanager
def prepared():
    """Yield a prepared tree that no other run uses until the end of the `with` block."""
    source = ksrc()
    applied = source and check_source(source)
    name = VERSION if not source else f"ksrc-{hashlib.sha256(bytes(source)).hexdigest()[:12]}"
    tree = Tree(cache() / f"linux-{name}")
    with locked(tree.root):
        prepare(tree, source, applied)
        yield tree


def run():
    with prepared() as tree:
        print(f"{tree.src}: {len(patches())} patches, {len(tree.ours())} files of the project or changed by it")


if __name__ == "__main__":
    main(run, arguments(__doc__))
