# SPDX-License-Identifier: GPL-2.0
"""Tests of the series of patches, with a small kernel of our own."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import series  # noqa: E402
import tree  # noqa: E402
from common import Failure  # noqa: E402

HOOK = """\
Subject: [PATCH] mm: hook it up
Adds: mm/new.c

It has to be there
to be of use.
---
diff --git a/mm/Makefile b/mm/Makefile
--- a/mm/Makefile
+++ b/mm/Makefile
@@ -1 +1,2 @@
 obj-y += rmap.o
+obj-y += new.o
"""

OUTER = """\
Subject: [PATCH] rust: add outer
Adds: rust/outer.rs

Without what is in it.
---
"""

INNER = """\
Subject: [PATCH] rust: add inner
Adds: rust/outer/*

Now with it.
---
"""


MAKEFILE = """\
obj-$(CONFIG_ONE) += one.o
one-y := one_main.o
one-$(CONFIG_MORE) += more.o

obj-$(CONFIG_TWO) += inner/
"""

KCONFIG = """\
config ONE
	bool "One"

config MORE
	bool "More"
	help
	  With an empty line

	  in its help.

config TWO
	bool "Two"

source "t/inner/Kconfig"
"""

REPORT = """\
/series/1-mm/0000-cover-letter.patch
(mbox) Adding to: A <a@b> from line 'To: A <a@b>'
Dry-OK. Log says:
Server: localhost
MAIL FROM:<me@here>
RCPT TO:<you@there>
RCPT TO:<a@b>
From: Me <me@here>
Subject: [PATCH 0/1] mm: the cover

Result: OK
(mbox) Adding to: A <a@b> from line 'To: A <a@b>'
Dry-OK. Log says:
Server: localhost
MAIL FROM:<me@here>
RCPT TO:<you@there>
Subject: [PATCH 1/1] mm: hook it up

Result: OK
"""


class Modules(unittest.TestCase):
    def left(self, text, later):
        return series.without_later({"rust/outer.rs": text.encode()}, later)["rust/outer.rs"].decode()

    def test_later_module_is_left_out(self):
        text = "use x;\n\n#[cfg(CONFIG_X)]\npub mod inner;\nmod here;\n"
        self.assertEqual(self.left(text, {"rust/outer/inner.rs"}), "use x;\n\nmod here;\n")
        self.assertEqual(self.left(text, {"rust/outer/inner/mod.rs"}), "use x;\n\nmod here;\n")

    def test_what_is_above_and_below_goes_with_it(self):
        text = "use x;\n\n// Parts of it\n#[allow(dead_code)]\nmod inner;\npub use self::inner::{\n    A,\n    B, //\n};\n" \
               "pub use self::here::C;\n"
        self.assertEqual(self.left(text, {"rust/outer/inner.rs"}), "use x;\n\npub use self::here::C;\n")

    def test_no_empty_paragraph_is_left(self):
        self.assertEqual(self.left("a\n\npub(crate) mod inner;\n\nb\n", {"rust/outer/inner.rs"}), "a\n\nb\n")

    def test_modules_of_a_crate_root_are_beside_it(self):
        text = "mod inner;\nmod here;\n\nmodule! {\n"
        self.assertEqual(self.left(text, {"rust/inner.rs", "rust/outer/here.rs"}), "mod here;\n\nmodule! {\n")

    def test_others_stay(self):
        text = "mod inner;\n\n\nmod tests {\n"
        self.assertEqual(self.left(text, {"rust/inner.rs", "rust/outer/tests/x.rs"}), text)


class Options(unittest.TestCase):
    FILES = {"t/Makefile": MAKEFILE.encode(), "t/Kconfig": KCONFIG.encode()}

    def left(self, *later):
        left = series.without_later(self.FILES, set(later))
        return left["t/Makefile"].decode(), re.findall(r"^(?:config|source) (.*)$", left["t/Kconfig"].decode(), re.M)

    def test_objects_and_folders_that_come_later_are_left_out(self):
        makefile, _ = self.left("t/more.c", "t/inner/Makefile")
        self.assertEqual(makefile, "obj-$(CONFIG_ONE) += one.o\none-y := one_main.o\n")
        makefile, _ = self.left("t/more.rs")
        self.assertEqual(makefile, MAKEFILE.replace("one-$(CONFIG_MORE) += more.o\n", ""))

    def test_options_come_with_their_use(self):
        self.assertEqual(self.left("t/more.c")[1], ["ONE", "TWO", '"t/inner/Kconfig"'])
        self.assertEqual(self.left("t/inner/Makefile", "t/inner/Kconfig")[1], ["ONE", "MORE"])

    def test_option_of_code_below(self):
        files = self.FILES | {"t/inner/x.c": b"#ifdef CONFIG_MORE\n"}
        self.assertIn(b"config MORE\n", series.without_later(files, {"t/more.c"})["t/Kconfig"])

    def test_nothing_is_left_out_in_the_end(self):
        self.assertEqual(series.without_later(self.FILES, set()), self.FILES)


class Series(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.project = self.folder / "project"
        self.files = {"mm/new.c": b"new\n", "rust/outer.rs": b"mod inner;\n", "rust/outer/inner.rs": b"\n"}
        for name, text in {"1-mm/0001-hook": HOOK, "2-rust/0002-outer": OUTER, "2-rust/0003-inner": INNER}.items():
            path = self.project / f"patches/{name}.patch"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for group in ("1-mm", "2-rust"):
            (self.project / f"patches/{group}/cover-letter.txt").write_text(f"{group}: what it is\n\nAnd why.\n")
        subprocess.run(["git", "init", "-q", self.project], check=True)
        for module in (tree, series):
            for name, value in (("PROJECT", self.project), ("project_files", lambda: dict(self.files)),
                                ("VERSION", "7.3")):
                patcher = mock.patch.object(module, name, value)
                patcher.start()
                self.addCleanup(patcher.stop)
        for name, value in (("recipients", lambda tree, mails: ["A <a@b>", "list@b"]),):
            patcher = mock.patch.object(series, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        patcher = mock.patch.dict("os.environ", {"SIGNOFF": "A Name <a@name.org>"})
        patcher.start()
        self.addCleanup(patcher.stop)
        self.commit()
        self.tree = tree.Tree(self.folder / "cache")
        series.write_all(self.tree.root, {"pristine/mm/Makefile": b"obj-y += rmap.o\n"})
        series.write_all(self.tree.src, self.files | {"mm/Makefile": b"obj-y += rmap.o\nobj-y += new.o\n"})
        self.out = self.folder / "out"

    def commit(self):
        words = ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]
        subprocess.run(["git", "-C", self.project, *words], check=True)

    def test_mails(self):
        groups = series.write_series(self.tree, self.out)
        self.assertEqual([(group.name, len(group.mails)) for group in groups], [("1-mm", 1), ("2-rust", 2)])
        mail = groups[0].mails[0].read_text()
        self.assertIn("Subject: [PATCH 1/1] mm: hook it up", mail)
        self.assertIn("From: A Name <a@name.org>", mail)
        self.assertIn("Signed-off-by: A Name <a@name.org>\n---\n", mail)
        self.assertIn("+++ b/mm/new.c", mail)
        self.assertNotIn("Adds:", mail)
        cover = (self.out / "2-rust/0000-cover-letter.patch").read_text()
        self.assertIn("Subject: [PATCH 0/2] 2-rust: what it is", cover)
        self.assertIn("And why.", cover)

    def test_rfc(self):
        (self.project / "patches/1-mm").rename(self.project / "patches/1-rfc")
        groups = series.write_series(self.tree, self.out)
        self.assertIn("Subject: [RFC PATCH 1/1] mm: hook it up", groups[0].mails[0].read_text())
        self.assertIn("Subject: [PATCH 1/2] ", groups[1].mails[0].read_text())

    def test_plan(self):
        self.files["rust/outer/inner.rs"] = b"a\n" * 7
        series.write_all(self.tree.src, self.files)
        plan = series.plan(series.write_series(self.tree, self.out)).splitlines()
        # The first mail of rust/ adds an empty file, the second a line and seven lines. The header of a diff counts.
        self.assertEqual([line.split() for line in plan[1:]],
                         [["1-mm", "1", "14", "14", "1", "list"], ["2-rust", "2", "22", "19", "1", "list"]])

    def test_long_mail(self):
        self.files["mm/new.c"] = b"a\n" * series.LIMIT
        series.write_all(self.tree.src, self.files)
        with self.assertRaisesRegex(Failure, "0001-mm-hook-it-up.patch of 1-mm has 1513 lines: split the patch"):
            series.write_series(self.tree, self.out)

    def test_dry_run(self):
        with mock.patch.object(series, "git", return_value=REPORT) as git:
            shown = series.dry_run(self.out, "You <you@there>")
        self.assertEqual(shown, "   2  [PATCH 0/1] mm: the cover\n   1  [PATCH 1/1] mm: hook it up")
        self.assertIn("--dry-run", git.call_args[0])
        self.assertIn("--to=You <you@there>", git.call_args[0])

    def test_git_am(self):
        series.write_series(self.tree, self.out)
        with series.applied(self.tree, self.out / "series.mbox") as repo:
            self.assertEqual((repo / "rust/outer.rs").read_text(), "mod inner;\n")
            self.assertEqual((repo / "mm/Makefile").read_text(), "obj-y += rmap.o\nobj-y += new.o\n")
            before = series.git(repo, "show", "HEAD~1:rust/outer.rs")
        self.assertEqual(before, "")

    def test_file_of_no_patch(self):
        self.files["mm/forgotten.c"] = b""
        with self.assertRaisesRegex(Failure, "no patch adds mm/forgotten.c"):
            series.write_series(self.tree, self.out)

    def test_patch_of_no_file(self):
        del self.files["mm/new.c"]
        with self.assertRaisesRegex(Failure, "0001-hook.patch adds mm/new.c, but there is no such file"):
            series.write_series(self.tree, self.out)

    def test_not_what_is_built(self):
        (self.tree.src / "mm/Makefile").write_text("else\n")
        with self.assertRaisesRegex(Failure, "after the last patch, mm/Makefile differs"):
            series.write_series(self.tree, self.out)

    def test_nobody(self):
        with mock.patch.dict("os.environ", {"SIGNOFF": "nobody"}):
            with self.assertRaisesRegex(Failure, "the author must be SIGNOFF"):
                series.write_series(self.tree, self.out)
