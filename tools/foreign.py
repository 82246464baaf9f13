# SPDX-License-Identifier: GPL-2.0
"""The programs of tests/foreign: stress-ng and the kernel's tests of mm, with the libraries that they need."""

from common import Failure, PROJECT, output
from guest import SCENARIOS
from initramfs import compile_program, libraries, with_libraries

FOLDER = PROJECT / "tests/foreign"
# The tests in tools/testing/selftests/mm that change memory of their own, take less than a minute, and have the same
# results each time.
# uffd-unit-tests takes four minutes. Its rwp-mprotect expects that nobody reads memory before mprotect(2), as attach.c
# does with the CPU and with the device. The other tests in it have the same results.
SELFTESTS = ["cow", "droppable", "guard-regions", "gup_longterm", "hugetlb-madvise", "madv_populate", "merge",
             "mkdirty", "mlock2-tests", "mremap_dontunmap", "mremap_test", "pagemap_ioctl", "prctl_thp_disable",
             "process_madv", "split_huge_page_test", "uffd-wp-mremap"]
# Their other sources.
COMMON = ["vm_util", "hugepage_settings", "uffd-common"]


def attach(tree):
    """Compile the library that attaches a device to a program."""
    library = tree.root / "programs/attach.so"
    result = output(["ccache", "clang", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I", SCENARIOS,
                     "-I", tree.src / "samples/rust", FOLDER / "attach.c", "-o", library])
    if result.returncode:
        raise Failure(f"attach.c does not compile:\n{result.stdout}")
    return {"/tests/attach.so": library}


def selftests(tree):
    """Compile the tests of mm. They are linked dynamically, so a library can be preloaded."""
    source = tree.src / "tools/testing/selftests/mm"
    folder = tree.root / "programs/mm"
    folder.mkdir(parents=True, exist_ok=True)
    # Their Makefile makes it: without liburing it defines nothing.
    (folder / "local_config.h_gen").touch()
    flags = ["-D_GNU_SOURCE=", "-Wno-all", "-I", folder, "-I", tree.src, "-isystem", tree.src / "tools/include/uapi"]
    found = {}
    for name in SELFTESTS:
        sources = [source / f"{stem}.c" for stem in (name, *COMMON)]
        found[f"/tests/mm/{name}"] = compile_program(tree, "x86_64", folder, name, sources, flags, ["-lrt", "-lm"])
    return found | libraries(found.values())


def files(tree):
    """Return {path in the guest: file} of everything that the scenarios in tests/foreign need."""
    scripts = {f"/tests/{script.name}": script.relative_to(PROJECT) for script in FOLDER.glob("*.sh")}
    return scripts | attach(tree) | with_libraries("/usr/bin/stress-ng") | selftests(tree)
