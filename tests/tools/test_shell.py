# SPDX-License-Identifier: GPL-2.0
"""Tests of what a reader gives to `make shell`."""

import argparse
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import build  # noqa: E402
import shell  # noqa: E402
from common import Failure  # noqa: E402


class Words(unittest.TestCase):
    def test_memory(self):
        self.assertEqual(shell.memory("2G"), "2G")
        for text in ("2", "0M", "2GB", "-1G", "much"):
            with self.assertRaisesRegex(argparse.ArgumentTypeError, f"{text} is no size: write 512M or 2G"):
                shell.memory(text)

    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(argparse.ArgumentTypeError, "there is no file nowhere/my.config"):
            shell.readable("nowhere/my.config")


class Guest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.tree = types.SimpleNamespace(root=self.folder, src=self.folder)

    def test_options_of_a_fragment_win(self):
        fragment = self.folder / "my.config"
        fragment.write_text("# CONFIG_SWAP is not set\n")
        with mock.patch.dict(build.CONFIGS):
            text = build.CONFIGS[shell.configuration(fragment)].text()
        self.assertLess(text.index("CONFIG_SWAP=y\n"), text.index("# CONFIG_SWAP is not set\n"))

    def test_the_usual_kernel_without_one(self):
        self.assertEqual(shell.configuration(None), "x86_64")

    def test_files(self):
        script = self.folder / "test.sh"
        with mock.patch("shell.compile_program", side_effect=lambda tree, arch, folder, program, *_: folder / program):
            found = shell.programs(self.tree, [self.folder / "test.c", script])
        self.assertEqual(found, {"/tests/test": self.folder / "shell/programs/test", "/tests/test.sh": script})

    def test_two_of_one_name(self):
        with mock.patch("shell.compile_program", return_value=self.folder):
            with self.assertRaisesRegex(Failure, "two files would be /tests/test in the guest"):
                shell.programs(self.tree, [self.folder / "test.c", self.folder / "more" / "test.c"])
