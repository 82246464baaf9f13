# SPDX-License-Identifier: GPL-2.0
"""Write the project as patches that can be mailed, a folder for each group of maintainers, and one mbox for `git am`.

Each patch in patches/ becomes a commit, with the project's files that its header names (`Adds: PATH`). A line for a file
that comes later is left out until then: `mod x;`, `x.o` in a Makefile, an option that nothing uses yet. The groups are
printed in the order in which they are sent. SIGNOFF="Name <mail>" in the environment is the author, and signs off.
"""

import contextlib
import dataclasses
import fnmatch
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time

import build
from common import Failure, PROJECT, VERSION, arguments, environment, locked, main, output
from tree import Tree, patched_paths, patches, prepared, project_files, sync, unpack

OUT = PROJECT / "series"

# The longest diff of a mail, in lines, as a limit for a review.
LIMIT = 1500


class Patch:
    """A file in patches/, in its parts."""

    def __init__(self, path):
        self.path = path
        self.group = path.parent.name
        header, self.diff = re.split(r"^---\n", path.read_text(), maxsplit=1, flags=re.M)
        fields, self.body = header.split("\n\n", 1)
        self.subject = re.search(r"^Subject: \[PATCH\] (.*)$", fields, re.M)[1]
        self.adds = re.findall(r"^Adds: (\S+)$", fields, re.M)


def added(patch_list, files):
    """Return which of `files` each patch adds: {patch: paths}. Each file must come with one patch."""
    result = {patch: [] for patch in patch_list}
    for path in sorted(files):
        # Take the longest pattern: a folder has files that belong to other patches.
        found = [(len(pattern), patch) for patch in patch_list for pattern in patch.adds if fnmatch.fnmatch(path, pattern)]
        if not found:
            raise Failure(f"no patch adds {path}: name it in the header of one in patches/ (Adds: {path})")
        result[max(found, key=lambda pair: pair[0])[1]].append(path)
    for patch in patch_list:
        for pattern in patch.adds:
            if not any(fnmatch.fnmatch(path, pattern) for path in files):
                raise Failure(f"{patch.path.relative_to(PROJECT)} adds {pattern}, but there is no such file")
    return result


def without_later(files, later):
    """Return the contents of `files` without the lines that are for one of the files in `later`."""
    result = dict(files)
    for path, data in files.items():
        if path.endswith(".rs"):
            result[path] = edited(data, without_later_modules, path, later)
        elif path.endswith("/Makefile"):
            result[path] = edited(data, without_later_objects, path, later)
    for path, data in files.items():
        if path.endswith("/Kconfig"):
            folder = path.removesuffix("Kconfig")
            used = {name for other, text in result.items() if other.startswith(folder) and not other.endswith("/Kconfig")
                    for name in re.findall(rb"CONFIG_(\w+)", text)}
            result[path] = edited(data, without_unused_options, used, later)
    return result


def edited(data, function, *words):
    """Return `data` after `function`, which leaves out parts of it. No empty paragraphs remain."""
    text = data.decode()
    kept = function(text, *words)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\n+\Z", "\n", kept)).encode() if kept != text else data


def without_later_modules(text, path, later):
    """Return the text of a Rust file without each `mod x;` and `pub use self::x::...;` whose file is one of `later`."""
    # The modules of a crate root are beside it.
    root = re.search(r"^module! \{", text, re.M)
    folder = path.rpartition("/")[0] if root else path.removesuffix(".rs").removesuffix("/mod")

    def check(match):
        return "" if {f"{folder}/{match[1]}.rs", f"{folder}/{match[1]}/mod.rs"} & later else match[0]

    above = r"^(?:(?:#\[.*\]|// .*)\n)*(?:pub(?:\(.*\))? )?"
    return re.sub(rf"{above}use self::(\w+)::[^;]*;\n", check,
                  re.sub(rf"{above}mod (\w+);\n", check, text, flags=re.M), flags=re.M)


def without_later_objects(text, path, later):
    """Return the text of a Makefile without each line that names an object or a folder that comes later."""
    folder = path.removesuffix("Makefile")

    def comes_later(word):
        names = {f"{word}Makefile"} if word.endswith("/") else {f"{word.removesuffix('.o')}{end}" for end in (".c", ".rs")}
        return any(folder + name in later for name in names)

    return "".join(line for line in text.splitlines(keepends=True) if not any(map(comes_later, line.split())))


def without_unused_options(text, used, later):
    """Return the text of a Kconfig file without options that nothing uses, and without files that come later."""
    def check(match):
        return match[0] if match[1].encode() in used else ""

    text = re.sub(r"^config (\w+)\n(?:(?:[\t ].*)?\n)*", check, text, flags=re.M)
    return re.sub(r'^source "(.*)"\n', lambda match: "" if match[1] in later else match[0], text, flags=re.M)


def git(repo, *words):
    """Run git in `repo` as the author, without any configuration."""
    result = subprocess.run(["git", "-C", repo, *map(str, words)], env=identity(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        raise Failure(f"git {words[0]}: {result.stdout.strip()}")
    return result.stdout.strip()


def identity():
    """Return the environment for the author and the date of commits: SIGNOFF, or the author of the last commit."""
    log = output(["git", "-c", "safe.directory=*", "-C", PROJECT, "log", "-1", "--format=%aI %an <%ae>"])
    date, last = log.stdout.strip().split(" ", 1)
    who = os.environ.get("SIGNOFF") or last
    match = re.fullmatch(r"([^<>]+) <([^<>@\s]+@[^<>@\s]+)>", who)
    if not match:
        raise Failure(f'the author must be SIGNOFF="Name <mail>", not "{who}"')
    values = {"NAME": match[1], "EMAIL": match[2], "DATE": date}
    return environment() | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"} | {
        f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in values.items()}


def write_all(folder, contents):
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def base(tree, repo):
    """Make `repo` a repository of the pristine files that patches change."""
    git(repo, "init", "--quiet", "--initial-branch=base")
    pristine = {path: tree.pristine / path for path in patched_paths() - set(project_files())}
    write_all(repo, {path: source.read_bytes() for path, source in pristine.items() if source.exists()})
    git(repo, "add", "--all", "--force")
    git(repo, "commit", "--quiet", "--message", f"Linux {VERSION}")


def commits(tree, repo):
    """Make a commit of each patch in `repo`, and yield it."""
    patch_list = [Patch(path) for path in patches()]
    files = project_files()
    adds = added(patch_list, files)
    later = set(files)
    here = {}
    for patch in patch_list:
        if patch.diff:
            git(repo, "apply", patch.path)
        later -= set(adds[patch])
        here |= {path: files[path] for path in adds[patch]}
        write_all(repo, without_later(here, later))
        git(repo, "add", "--all", "--force")
        signoff = ["--signoff"] if os.environ.get("SIGNOFF") else []
        git(repo, "commit", "--quiet", *signoff, "--message", f"{patch.subject}\n\n{patch.body.strip()}")
        yield patch
    expected = {path: (tree.src / path).read_bytes() for path in patched_paths() | files.keys()}
    for path, data in expected.items():
        if not (repo / path).exists() or (repo / path).read_bytes() != data:
            raise Failure(f"after the last patch, {path} differs from the file that is built here")


def recipients(tree, mails):
    """Return the recipients of the patches, from get_maintainer.pl."""
    result = subprocess.run(["scripts/get_maintainer.pl", "--nogit", "--nogit-fallback", "--norolestats", *map(str, mails)],
                            cwd=tree.src, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    found = [line for line in result.stdout.splitlines() if line]
    if result.returncode or not found:
        raise Failure(f"get_maintainer.pl: {result.stderr.strip()}")
    return found


@dataclasses.dataclass
class Group:
    """A series for one group of maintainers."""
    name: str
    mails: list[pathlib.Path]   # without the cover letter
    recipients: list[str]

    def lists(self):
        """Return the names of the mailing lists."""
        return [who.split("@")[0] for who in self.recipients if "<" not in who]


def lines(mail):
    """Return the length of the diff of a mail."""
    return mail.read_text().partition("\ndiff --git ")[2].count("\n")


def check_lengths(groups):
    """Fail if a mail is longer than LIMIT."""
    long = [f"{mail.name} of {group.name} has {lines(mail)} lines" for group in groups for mail in group.mails
            if lines(mail) > LIMIT]
    if long:
        raise Failure(f"no diff of a mail may be longer than {LIMIT} lines, but {'; '.join(long)}: split the patch")


def write_series(tree, out):
    """Write the series and the mbox to `out`, and return its groups, in order."""
    groups = []
    with tempfile.TemporaryDirectory(prefix="nonblock.") as scratch:
        repo = pathlib.Path(scratch)
        base(tree, repo)
        ends = {}
        for patch in commits(tree, repo):
            ends[patch.group] = git(repo, "rev-parse", "HEAD")
        start = git(repo, "rev-list", "--max-parents=0", "HEAD")
        for group, end in ends.items():
            git(repo, "branch", group, end)
            git(repo, "config", f"branch.{group}.description", cover(group))
            words = ["format-patch", "--quiet", "--cover-letter", "--cover-from-description=subject", "--no-signature",
                     *["--rfc"] * group.endswith("rfc"), "--output-directory", out / group, f"{start}..{group}"]
            git(repo, *words)
            mails = sorted((out / group).glob("*.patch"))[1:]
            to = recipients(tree, mails)
            git(repo, *words[:1], *(f"--to={who}" for who in to), *words[1:])
            groups.append(Group(group, mails, to))
            start = end
    check_lengths(groups)
    with open(out / "series.mbox", "w") as mbox:
        for group in groups:
            for mail in group.mails:
                mbox.write(mail.read_text())
    return groups


def cover(group):
    """Return the text of the cover letter: a subject and a body."""
    path = PROJECT / "patches" / group / "cover-letter.txt"
    if not path.exists():
        raise Failure(f"patches/{group}/cover-letter.txt is missing")
    return path.read_text().strip()


@contextlib.contextmanager
def applied(tree, mbox):
    """Yield a repository in which `git am` applied the series to the pristine files."""
    with tempfile.TemporaryDirectory(prefix="nonblock.") as scratch:
        repo = pathlib.Path(scratch)
        base(tree, repo)
        git(repo, "am", "--quiet", mbox)
        yield repo


def plan(groups):
    """Return the table of the groups, in the order in which they are sent."""
    rows = [f"{'series/':24} mails  lines  longest  people  lists"]
    for group in groups:
        lengths = [lines(mail) for mail in group.mails]
        people = len(group.recipients) - len(group.lists())
        rows.append(f"{group.name:24} {len(lengths):5}  {sum(lengths):5}  {max(lengths):7}  {people:6}  "
                    f"{' '.join(group.lists())}")
    return "\n".join(rows)


def dry_run(folder, to):
    """Return a line for each mail in `folder` that `git send-email` would send, with `to` as another recipient."""
    report = git(folder, "send-email", "--dry-run", "--confirm=never", "--smtp-server=localhost", f"--to={to}",
                 *sorted(folder.glob("*.patch")))
    # Before this line are the reasons for the recipients of the mail.
    sent = [mail.split("\nResult: ")[0] for mail in report.split("\nDry-OK. Log says:\n")[1:]]
    return "\n".join(f"{len(re.findall('^RCPT TO:', mail, re.M)):4}  {re.search('^Subject: (.*)$', mail, re.M)[1]}"
                     for mail in sent)


def write(to=None):
    with prepared() as tree:
        part = OUT.with_name("series.part")
        shutil.rmtree(part, ignore_errors=True)
        groups = write_series(tree, part)
        print(plan(groups))
        shutil.rmtree(OUT, ignore_errors=True)
        part.rename(OUT)
    print(f"\n`git am` applies series/series.mbox to a clean {VERSION}; each folder is a series with its cover letter.")
    if not os.environ.get("SIGNOFF"):
        print('The patches are not signed off: make series SIGNOFF="Name <mail>"')
    if to:
        print("\nNothing is sent now. With these commands, each mail would go to so many recipients:")
        for group in groups:
            print(f"\ngit send-email --to={shlex.quote(to)} series/{group.name}/*.patch\n{dry_run(OUT / group.name, to)}")


# The folders that are compiled after each patch: all code that a patch may break.
FOLDERS = ["kernel/locking/", "kernel/sched/", "lib/tests/", "mm/", "rust/", "samples/rust/"]
OFF = {
    "all": [],
    "no-rust": ["RUST"],
    "no-mmu-notifier": ["MMU_NOTIFIER"],
    "no-atomic-sleep": ["DEBUG_ATOMIC_SLEEP"],
    "no-lockdep": ["PROVE_LOCKING", "PROVE_RAW_LOCK_NESTING"],
}
# User-mode Linux has no lockdep.
STEPS = {f"{base}-{name}": (build.CONFIGS[base], off) for base in ("uml", "x86_64") for name, off in OFF.items()
         if (base, name) != ("uml", "no-lockdep")}


def left_out(tree, off):
    """Return the options that do not exist yet in `tree`, or do not exist with `off`."""
    texts = [(tree.src / path).read_text() for path in tree.ours() if pathlib.Path(path).name.startswith("Kconfig")]
    there = set(re.findall(r"^config (\w+)$", "\n".join(texts), re.M))
    ours = set(re.findall(r"^\+?config (\w+)$", "\n".join(
        [path.read_text() for path in patches()] +
        [data.decode() for path, data in project_files().items() if path.endswith("/Kconfig")]), re.M))
    gone = (ours - there) | {"RUST_KERNEL_DOCTESTS"}
    if "MMU_NOTIFIER" in off or "RUST" in off:
        core = {"HMM_KUNIT_TEST", "MMU_NOTIFIER_KUNIT_TEST"}
        gone |= ours if "MMU_NOTIFIER" in off else ours - core
    if "MMU_NOTIFIER" in off:
        gone.add("TEST_HMM")    # selects it
    if "RUST" in off:
        gone |= {"SAMPLES_RUST", "RUST_DEBUG_ASSERTIONS", "RUST_KUNIT_TESTS"}
    if "DEBUG_ATOMIC_SLEEP" in off:
        gone |= {name for name in ours if name.startswith("RUST_")}
    return gone


def build_steps(names):
    """Build the tree after each patch, so `git bisect` never stops at a tree that does not build."""
    # The series has its own folder, so other commands can run meanwhile.
    with tempfile.TemporaryDirectory(prefix="nonblock.") as scratch:
        repo = pathlib.Path(scratch)
        with prepared() as origin:
            base(origin, repo)
            states = [(patch, {path: (repo / path).read_bytes() for path in git(repo, "ls-files").splitlines()})
                      for patch in commits(origin, repo)]
    tree = Tree(origin.root / "series")
    with locked(tree.root):
        if not tree.manifest.exists():
            archive = f"linux-source-{VERSION}.tar.xz"
            (tree.root / archive).unlink(missing_ok=True)
            (tree.root / archive).symlink_to(origin.root / archive)
            unpack(tree)
        for name in names or STEPS:
            print(f"{name}:")
            for number, (patch, state) in enumerate(states, 1):
                start = time.monotonic()
                sync(tree, state)
                build_step(tree, name)
                print(f"    {number:2} of {len(states)}  {time.monotonic() - start:6.1f} s  {patch.subject}", flush=True)


def build_step(tree, name):
    config, off = STEPS[name]
    gone = left_out(tree, off) | set(off)
    lines = [line for line in config.text().splitlines() if not re.match(rf"CONFIG_({'|'.join(gone)})=", line)]
    text = "\n".join(lines + [f"# CONFIG_{option} is not set" for option in off]) + "\n"
    build.CONFIGS[name] = build.Config(config.arch, [], text, 300)
    folders = [folder for folder in FOLDERS if "RUST" not in off or "rust" not in folder]
    build.build(tree, name, "prepare", *folders)


def run(command, to, names=()):
    if command == "build":
        build_steps(names)
    else:
        write(to)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--to", metavar="ADDRESS", help="also show which mails `git send-email --to=ADDRESS` would send")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help="instead of writing series/:")
    steps = commands.add_parser("build", help="build the tree after each patch")
    steps.add_argument("names", nargs="*", choices=STEPS, metavar="NAME",
                       help=f"a configuration, all if none is given: {', '.join(STEPS)}")
    main(run, parser)
