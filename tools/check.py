# SPDX-License-Identifier: GPL-2.0
"""Check the code without running it: style, warnings, builds with options off, object code and the series.

The last line is `N passed, N failed, N skipped`.
"""

import os
import pathlib
import re
import tempfile
import time
from concurrent import futures

import prove
import series
from build import ARM64, CONFIGS, Config, X86_64, build, tools
from common import Failure, PROJECT, arguments, main, output
from docs import rustdoc
from objcode import CORE, PROBE, calls, debugging, listing, nothing_left, probe_functions
from table import Counts, Table
from tree import patched_paths, prepared, project_files

NO_DOCTESTS = "# CONFIG_RUST_KERNEL_DOCTESTS is not set\n"
NO_TESTS = NO_DOCTESTS + """\
# CONFIG_RUST_NONBLOCK_KUNIT_TEST is not set
# CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST is not set
"""
NO_ATOMIC_SLEEP = """\
# CONFIG_DEBUG_ATOMIC_SLEEP is not set
# CONFIG_DEBUG_NON_BLOCK_TIME is not set
# CONFIG_DEBUG_NON_BLOCK_TIME_MS is not set
"""
TWINS = "CONFIG_RUST_MMU_NOTIFIER_BENCH=y\n"

# Everything on except SMP, then other things off, and another architecture. The usual kernel of user-mode Linux has
# neither SMP nor lockdep.
BUILDS = {
    "check-no-smp": Config("x86_64", X86_64, NO_DOCTESTS + TWINS + """\
CONFIG_MMU_MIRROR_TWIN=m
CONFIG_NR_CPUS=1
# CONFIG_SMP is not set
# CONFIG_NUMA is not set
# CONFIG_NUMA_EMU is not set
""", 75),
    "check-no-mmu-notifier": Config("um", ["common", "lean"], NO_DOCTESTS + """\
# CONFIG_HMM_KUNIT_TEST is not set
# CONFIG_MMU_NOTIFIER_KUNIT_TEST is not set
# CONFIG_RUST_MMU_NOTIFIER_KUNIT_TEST is not set
# CONFIG_SAMPLE_RUST_HMM_MIRROR is not set
# CONFIG_SAMPLE_RUST_MMU_MIRROR is not set
# CONFIG_DEBUG_MMU_NOTIFIER is not set
# CONFIG_MMU_NOTIFIER is not set
""", 30),
    "check-no-atomic-sleep": Config("x86_64", X86_64, NO_TESTS + NO_ATOMIC_SLEEP, 75),
    "check-release": Config("x86_64", X86_64, NO_TESTS + NO_ATOMIC_SLEEP + """\
# CONFIG_DEBUG_MMU_NOTIFIER is not set
# CONFIG_HIST_TRIGGERS is not set
# CONFIG_PROVE_LOCKING is not set
# CONFIG_PROVE_RAW_LOCK_NESTING is not set
# CONFIG_DEBUG_KMEMLEAK is not set
# CONFIG_SAMPLE_KMEMLEAK is not set
# CONFIG_RUST_DEBUG_ASSERTIONS is not set
CONFIG_RUST_INLINE_HELPERS=y
""", 75),
    "check-arm64": Config("arm64", ARM64, NO_TESTS, 65),
}
CONFIGS.update(BUILDS)

LINT = ["CLIPPY=1", "W=1"]


def rustfmt(tree):
    files = sorted(path for path in project_files() if path.endswith(".rs"))
    result = output([tools()["RUSTFMT"], "--check", "--config-path", tree.src / ".rustfmt.toml",
                     *(tree.src / path for path in files)])
    if result.returncode:
        raise Failure(result.stdout.replace(f"{tree.src}/", ""))


def prover(tree):
    """Run rustfmt and clippy on tools/prove, which is not part of the kernel."""
    sources = [*prove.CRATE.glob("src/*.rs"), prove.CRATE / "build.rs", *(PROJECT / "tests/prove").glob("*.rs")]
    result = output([tools()["RUSTFMT"], "--check", "--color", "never", "--edition", "2021", *sources])
    if not result.returncode:
        result = prove.cargo("clippy", "--all-targets")
    if result.returncode or re.search("^warning", result.stdout, re.M):
        raise Failure(result.stdout)


# The sender of a patch signs it off. checkpatch.pl does not know the style of trace events.
IGNORED = ["MISSING_SIGN_OFF"]
IGNORED_IN_EVENTS = ["COMPLEX_MACRO", "MACRO_ARG_UNUSED", "OPEN_ENDED_LINE", "PARENTHESIS_ALIGNMENT", "TRAILING_SEMICOLON"]
EVENTS = "include/trace/events/"


def checkpatch(tree, inputs, ignored=()):
    """Run the kernel's checkpatch.pl on each of `inputs`, which are its words for one file."""
    def complaint(words):
        in_events = EVENTS in str(words[-1]) or pathlib.Path(words[-1]).suffix == ".patch" and \
            f"+++ b/{EVENTS}" in pathlib.Path(words[-1]).read_text()
        types = [*IGNORED, *ignored, *(IGNORED_IN_EVENTS if in_events else [])]
        result = output([tree.src / "scripts/checkpatch.pl", "--strict", "--no-summary", "--quiet", "--show-types",
                         "--color=never", "--ignore", ",".join(types), *words], cwd=tree.src)
        return f"{words[-1]}:\n{result.stdout}" if result.returncode or result.stdout.strip() else ""

    with futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        complaints = list(filter(None, pool.map(complaint, inputs)))
    if complaints:
        raise Failure("\n".join(complaints))


def checkpatch_files(tree):
    checkpatch(tree, [["-f", path] for path in sorted(project_files())])


def partial(name, *words):
    """Return a check that builds the kernel crate and our files outside of it."""
    def check(tree):
        folders = ["rust/", "samples/rust/", "lib/tests/rust/"]
        probe = [PROBE] if CONFIGS[name].arch == "x86_64" else []
        names = ["hmm", *(f"tests/{name}_kunit" for name in ("hmm", "mmu_notifier", "mmu_notifier_debug", "mmput_lockdep"))]
        core = [] if name == "check-no-mmu-notifier" else [CORE]
        tests = [f"mm/{name}.o" for name in names] if name in ("check-no-smp", "check-arm64") else []
        build(tree, name, *words, *folders, *probe, *core, *tests)
    return check


# The functions of the probe that do not compile to nothing in each configuration.
PROBES = {
    "check-release": set(),
    "check-no-atomic-sleep": {"guard", "scope", "map", "alloc", "reclaim"},     # lockdep
    "check-no-smp": {"guard", "scope", "map", "alloc", "reclaim"},              # DEBUG_ATOMIC_SLEEP, too
}


def object_code(tree):
    """Check that sections compile to nothing without the options, and not with one of them, so the check can fail."""
    for name, expected in PROBES.items():
        probes = probe_functions(tree, name)
        left = {probe.removeprefix("probe_") for probe, lines in probes.items() if calls(lines)}
        if left != expected:
            raise Failure(f"{name}: not empty: {', '.join(sorted(left)) or 'none'}, "
                          f"expected {', '.join(sorted(expected)) or 'none'}:\n{listing(probes)}")
    for name, expected in {"check-release": False, "check-no-smp": True}.items():
        called = debugging(tree, name)
        if bool(called) != expected:
            raise Failure(f"{name}: {CORE} calls {', '.join(called) or 'nothing'} for debugging")
    return "without DEBUG_ATOMIC_SLEEP and lockdep, sections and annotations compile to nothing:\n" + \
        nothing_left(tree, "check-release")


def mails(tree):
    """Check that `git am` gives the tree that is built and tested, and run checkpatch.pl on each mail."""
    with tempfile.TemporaryDirectory(prefix="nonblock.") as scratch:
        out = pathlib.Path(scratch)
        groups = series.write_series(tree, out)
        with series.applied(tree, out / "series.mbox") as repo:
            wanted = patched_paths() | project_files().keys()
            different = {str(path.relative_to(repo)) for path in repo.rglob("*")
                         if path.is_file() and ".git" not in path.parts} ^ wanted
            different |= {path for path in wanted - different if (repo / path).read_bytes() != (tree.src / path).read_bytes()}
            if different:
                raise Failure(f"git am gives other files than those built here: {', '.join(sorted(different))}")
        all_mails = [mail for group in groups for mail in group.mails]
        # The last patch, to MAINTAINERS, is for all. There is no history here with the commits of Fixes:.
        checkpatch(tree, [[mail] for mail in all_mails], ["FILE_PATH_CHANGES", "UNKNOWN_COMMIT_ID"])
        for mail in all_mails:
            to = series.recipients(tree, [mail])
            lists = {who for who in to if "<" not in who}
            if len(lists) == len(to) or lists <= {"linux-kernel@vger.kernel.org"}:
                raise Failure(f"{mail.name} has no recipient except {', '.join(to)}")


def checks():
    """Yield (name, function) of each check, the quickest first."""
    yield "rustfmt", rustfmt
    yield "tools/prove", prover
    yield "checkpatch: files", checkpatch_files
    yield "series: git am, checkpatch", mails
    for name in BUILDS:
        # Clippy only sees code that is compiled: the first build has most of it, and a release what is left.
        words = LINT if name in ("check-no-smp", "check-release") else []
        yield name.removeprefix("check-") + ", clippy, W=1" * bool(words), partial(name, *words)
    yield "rustdoc", lambda tree: rustdoc(tree, "check-no-smp", *LINT)
    yield "object code", object_code


def run():
    with prepared() as tree:
        table = Table("check")
        shown = ""
        for name, check in checks():
            start = time.monotonic()
            try:
                shown = check(tree) or shown
                table.row(name, Counts(passed=1), time.monotonic() - start)
            except Failure as failure:
                table.row(name, Counts(failed=1), time.monotonic() - start, str(failure))
        print(f"\n{shown}\n" if shown else "")
        return table.end()


if __name__ == "__main__":
    main(run, arguments(__doc__))
