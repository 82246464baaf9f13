# SPDX-License-Identifier: GPL-2.0
"""Tests of the preparation of a kernel tree, with a small one of our own."""

import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import apply  # noqa: E402
import tree  # noqa: E402
from common import Failure  # noqa: E402

PATCH = """\
Subject: [PATCH] two words and a file

--- a/mm/rmap.c
+++ b/mm/rmap.c
@@ -1,2 +1,3 @@
 one
+and a half
 two
--- /dev/null
+++ b/mm/new.c
@@ -0,0 +1 @@
+new
"""

PRISTINE = {
    "Makefile": "VERSION = 7\nPATCHLEVEL = 3\n",
    "Kbuild": "",
    "rust/kernel/lib.rs": "",
    "mm/rmap.c": "one\ntwo\n",
}


def fill(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


class Place(unittest.TestCase):
    def test_places(self):
        for path, target in {
            "Kconfig": "lib/tests/rust/Kconfig",
            "rust/kernel/nonblock.rs": "rust/kernel/nonblock.rs",
            "Documentation/mm/x.rst": "Documentation/mm/x.rst",
            "tests/kunit/user.rs": "lib/tests/rust/user.rs",
            "tests/vm/oom.sh": None,
            "bench/twin.h": "lib/tests/rust/bench/twin.h",
            "tests/bench/bench.sh": None,
            "configs/uml.config": None,
            "tools/tree.py": None,
            "README.md": None,
            "patches/rust/kernel/x.rs": None,
        }.items():
            with self.subTest(path):
                self.assertEqual(tree.place(path), target)

    def test_only_files_of_a_kernel_tree_are_mailed(self):
        kinds = {pathlib.Path(path).suffix or pathlib.Path(path).name for path in tree.project_files()}
        self.assertLessEqual(kinds, {".c", ".h", ".rs", ".rst", ".svg", ".csv", "Kconfig", "Makefile"})

    def test_mailed_files_name_nothing_of_the_host(self):
        for path, data in tree.project_files().items():
            with self.subTest(path):
                self.assertNotRegex(data.decode(), r"make (bench|check|demo|series|test)\b|"
                                                   r"\btests/(bench|tools|ui|vm)/|(?<!/)tools/\w+\.py")


class WithFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.ours = {"rust/kernel/nonblock.rs": b"ours\n"}
        self.project = self.folder / "project"
        fill(self.project, {"patches/1-mm/0001-x.patch": PATCH})
        for module, name, value in ((tree, "PROJECT", self.project), (tree, "VERSION", "7.3"),
                                    (tree, "project_files", lambda: dict(self.ours)),
                                    (apply, "project_files", lambda: dict(self.ours))):
            patcher = mock.patch.object(module, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.tree = tree.Tree(self.folder / "cache")
        self.tree.root.mkdir()

    def patch(self, text):
        (self.project / "patches/1-mm/0001-x.patch").write_text(text)


class Prepare(WithFolder):
    def setUp(self):
        super().setUp()
        fill(self.tree.src, PRISTINE)
        self.tree.manifest.touch()

    def test_patches_and_files(self):
        tree.prepare(self.tree)
        self.assertEqual(contents(self.tree.src), PRISTINE | {
            "mm/rmap.c": "one\nand a half\ntwo\n", "mm/new.c": "new\n", "rust/kernel/nonblock.rs": "ours\n"})

    def test_all_is_taken_back(self):
        tree.prepare(self.tree)
        self.ours.clear()
        (self.project / "patches/1-mm/0001-x.patch").unlink()
        tree.prepare(self.tree)
        self.assertEqual(contents(self.tree.src), PRISTINE)

    def test_changed_patch_and_file(self):
        tree.prepare(self.tree)
        self.patch(PATCH.replace("half", "quarter"))
        self.ours["rust/kernel/nonblock.rs"] = b"newer\n"
        tree.prepare(self.tree)
        found = contents(self.tree.src)
        self.assertEqual(found["mm/rmap.c"], "one\nand a quarter\ntwo\n")
        self.assertEqual(found["rust/kernel/nonblock.rs"], "newer\n")

    def test_what_did_not_change_is_not_written(self):
        tree.prepare(self.tree)
        for path in contents(self.tree.src):
            os.utime(self.tree.src / path, (1, 1))
        self.ours["rust/kernel/other.rs"] = b"other\n"
        tree.prepare(self.tree)
        written = [path for path in contents(self.tree.src) if (self.tree.src / path).stat().st_mtime != 1]
        self.assertEqual(written, ["rust/kernel/other.rs"])

    def test_interrupted_between_any_two_writes(self):
        tree.prepare(self.tree)
        wanted = contents(self.tree.src)
        before = tree.project_files()
        writes = []
        write = tree.write

        def interrupted(*arguments):
            writes.append(arguments)
            if len(writes) == limit:
                raise KeyboardInterrupt
            write(*arguments)

        for limit in range(1, 8):
            with self.subTest(limit):
                self.ours.clear()
                self.ours["rust/kernel/other.rs"] = b"other\n"
                self.patch(PATCH.replace("mm/new.c", "mm/newer.c"))
                writes.clear()
                with mock.patch.object(tree, "write", interrupted):
                    try:
                        tree.prepare(self.tree)
                    except KeyboardInterrupt:
                        pass
                self.ours.clear()
                self.ours.update(before)
                self.patch(PATCH)
                tree.prepare(self.tree)
                self.assertEqual(contents(self.tree.src), wanted)

    def test_patch_that_does_not_fit_is_named_and_nothing_changes(self):
        self.patch(PATCH.replace(" two\n", " three\n"))
        with self.assertRaisesRegex(Failure, r"0001-x.patch does not apply .*: see mm/rmap.c"):
            tree.prepare(self.tree)
        self.assertEqual(contents(self.tree.src), PRISTINE)

    def test_file_that_the_kernel_has(self):
        self.ours["mm/rmap.c"] = b""
        with self.assertRaisesRegex(Failure, "the kernel has mm/rmap.c already"):
            tree.prepare(self.tree)


class Own(WithFolder):
    """KSRC=, and `make apply`."""

    def setUp(self):
        super().setUp()
        self.own = self.folder / "linux"
        fill(self.own, PRISTINE)
        (self.own / "link").symlink_to("mm")
        patcher = mock.patch.dict(os.environ, KSRC=str(self.own))
        patcher.start()
        self.addCleanup(patcher.stop)

    def prepare(self):
        tree.prepare(self.tree, self.own, tree.check_source(self.own))
        return contents(self.tree.src)

    def apply(self):
        with mock.patch("builtins.print") as said:
            apply.run()
        return said.call_args[0][0]

    def test_copy_leaves_the_source_alone(self):
        found = self.prepare()
        self.assertEqual(found["mm/rmap.c"], "one\nand a half\ntwo\n")
        self.assertEqual(os.readlink(self.tree.src / "link"), "mm")
        self.assertEqual(contents(self.own), PRISTINE)

    def test_copy_follows_the_source(self):
        self.prepare()
        fill(self.own, {"mm/rmap.c": "one\ntwo\nthree\n", "mm/other.c": "other\n"})
        (self.own / "Kbuild").unlink()
        (self.own / "Kbuild").write_text("older")
        os.utime(self.own / "Kbuild", (1, 1))
        found = self.prepare()
        self.assertEqual(found["mm/rmap.c"], "one\nand a half\ntwo\nthree\n")
        self.assertEqual(found["Kbuild"], "older")
        self.assertGreater((self.tree.src / "Kbuild").stat().st_mtime, 1)
        (self.own / "mm/other.c").unlink()
        self.assertNotIn("mm/other.c", self.prepare())

    def test_apply_and_apply_again(self):
        wanted = self.prepare()
        self.assertIn("3 files written", self.apply())
        self.assertEqual(contents(self.own), wanted)
        self.assertIn("nothing to do", self.apply())
        self.assertEqual(self.prepare(), wanted)

    def test_refused(self):
        for path, text, reason in (("Makefile", "all:\n", "is not the source"),
                                   ("Makefile", "VERSION = 7\nPATCHLEVEL = 2\n", "is Linux 7.2; .* for 7.3"),
                                   ("mm/rmap.c", "three\n", "0001-x.patch does not apply to KSRC=.*: see mm/rmap.c"),
                                   ("rust/kernel/nonblock.rs", "theirs\n", "has a different rust/kernel/nonblock.rs")):
            with self.subTest(reason):
                old = (self.own / path).read_bytes() if (self.own / path).exists() else None
                fill(self.own, {path: text})
                before = contents(self.own)
                for what in (self.prepare, self.apply):
                    with self.assertRaisesRegex(Failure, reason):
                        what()
                self.assertEqual(contents(self.own), before)
                self.assertEqual(contents(self.tree.root), {})
                apply.replace({self.own / path: old})

    def test_built_in_without_git_is_refused_for_building_only(self):
        (self.own / ".config").touch()
        with self.assertRaisesRegex(Failure, "mrproper"):
            self.prepare()
        self.assertIn("3 files written", self.apply())
