# SPDX-License-Identifier: GPL-2.0
"""Tests of the command lines of all programs, and of the progress of a step."""

import contextlib
import io
import pathlib
import runpy
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import common  # noqa: E402



class CommandLines(unittest.TestCase):
    def setUp(self):
        # Nothing should run; but if it does, not on what is kept.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        patcher = mock.patch.dict("os.environ", NONBLOCK_CACHE=folder.name, COLUMNS="1000")
        patcher.start()
        self.addCleanup(patcher.stop)

    def run_all(self, *words):
        """Run each program with `words`: its name, exit code and output."""
        for program in sorted(TOOLS.glob("*.py")):
            if '__name__ == "__main__"' not in program.read_text():
                continue
            out = io.StringIO()
            with self.subTest(program.name), mock.patch("sys.argv", [str(program), *words]), \
                    contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), \
                    self.assertRaises(SystemExit) as end:
                runpy.run_path(str(program), run_name="__main__")
            yield program.stem, end.exception.code, out.getvalue()

    def test_help(self):
        for name, code, text in self.run_all("--help"):
            self.assertEqual((code, text[:9]), (0, f"usage: {name}"[:9]), text)

    def test_unknown_words_are_refused_and_known_ones_listed(self):
        known = {"test": "arm64", "bench": "section", "build": "x86_64-rt", "series": "build",
                 "shell": "no file no-such-word"}
        for name, code, text in self.run_all("no-such-word", "another"):
            self.assertEqual(code, 2, text)
            self.assertIn(known.get(name, "another"), text)

    def test_setup(self):
        for word, code, text in (("--help", 0, "usage: "), ("no-such-word", 1, "installs all, apply, arm64, bench, docs or mail")):
            result = subprocess.run([TOOLS / "setup", word], capture_output=True, text=True)
            self.assertEqual(result.returncode, code)
            self.assertIn(text, result.stdout + result.stderr)


class Progress(unittest.TestCase):
    def shown(self, seconds):
        with contextlib.redirect_stdout(io.StringIO()) as out, mock.patch("time.monotonic", return_value=1.0) as clock:
            progress = common.Progress("uml", ["make", "CC=ccache clang"])
            clock.return_value += seconds
            progress.update("1 file")
            progress.update("2 files")
        return out.getvalue()

    def test_command_of_a_long_step_is_shown_once(self):
        self.assertEqual(self.shown(6), "$ make 'CC=ccache clang'\n")

    def test_short_step_is_silent(self):
        self.assertEqual(self.shown(4), "")
