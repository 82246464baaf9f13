# SPDX-License-Identifier: GPL-2.0
"""Tests of how a build log is read."""

import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import build  # noqa: E402
from tree import Tree  # noqa: E402

LOG = """\
  CC      mm/rmap.o
In file included from ../mm/rmap.c:3:
../include/asm-generic/io.h:1209:55: warning: performing pointer arithmetic on a null pointer
 1209 |         return rust/kernel/nonblock.rs
1 warning generated.
  RUSTC L rust/kernel.o
warning: unused variable: `x`
  --> /cache/tree/rust/kernel/nonblock.rs:90:9
   |
90 |     let x = 1;
   |         ^ help: if this is intentional, prefix it with an underscore: `_x`

warning: 1 warning emitted

samples/rust/rust_mmu_mirror.o: warning: objtool: ioctl+0x10: unreachable instruction
"""


class Configs(unittest.TestCase):
    def test_options_come_last(self):
        text = build.Config("um", ["common"], "# CONFIG_RUST is not set\n").text()
        self.assertLess(text.index("CONFIG_RUST=y\n"), text.index("# CONFIG_RUST is not set\n"))

    def test_each_fragment_is_used(self):
        used = {f"{name}.config" for config in build.CONFIGS.values() for name in config.fragments}
        self.assertEqual(used, {path.name for path in (build.PROJECT / "configs").iterdir()})


class Warnings(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Tree(pathlib.Path(folder.name))
        self.log = self.tree.root / "build.log"
        self.tree.manifest.write_text("rust/kernel/nonblock.rs\nsamples/rust/rust_mmu_mirror.rs\nrust/kernel.rs\n")

    def find(self, text):
        self.log.write_text(text)
        with mock.patch("builtins.print") as said:
            found = build.find_warnings(self.tree, self.tree.root, self.log)
        return found, said.call_args

    def test_ours_and_others(self):
        found, said = self.find(LOG)
        self.assertEqual(sorted(found), ["rust/kernel/nonblock.rs", "samples/rust/rust_mmu_mirror.rs"])
        self.assertIn("let x = 1", found["rust/kernel/nonblock.rs"][0])
        self.assertIn("1 warnings in files of the kernel", said[0][0])

    def test_silence(self):
        self.assertEqual(self.find("  CC      warning.o\n"), ({}, None))

    def test_warned_about_is_compiled_again(self):
        fill = self.tree.src / "rust/kernel/nonblock.rs"
        fill.parent.mkdir(parents=True)
        fill.touch()
        os.utime(fill, (1, 1))
        self.find(LOG)
        build.touch_warned(self.tree, self.tree.root)
        self.assertNotEqual(fill.stat().st_mtime, 1)


class Explain(unittest.TestCase):
    def test_errors_are_found(self):
        for error in ("error[E0425]: cannot find value `y` in this scope", "../mm/rmap.c:3:1: error: expected ';'",
                      "ld.lld: error: undefined symbol: x", "ERROR: modpost: missing MODULE_LICENSE()"):
            with self.subTest(error):
                self.assertIn(error, build.explain(f"  CC      a.o\n{error}\n  more\nmake: *** [all] Error 2\n"))

    def test_make_has_the_last_word(self):
        self.assertIn("No rule", build.explain("  CC      a.o\nmake[1]: *** No rule to make target 'x'.\n"))

    def test_disk_full_is_said_as_it_is(self):
        self.assertIn("no space left", build.explain("error: could not write: No space left on device\n"))
