# SPDX-License-Identifier: GPL-2.0
"""Tests of what is read from KTAP without the kernel's kunit.py."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import ktap  # noqa: E402


class Failures(unittest.TestCase):
    def test_clock_and_rulers_are_left_out(self):
        text = "[12:00:00] " + "=" * 60 + "\n[12:00:01] [FAILED] a_test\n\nTesting complete.\n"
        self.assertEqual(ktap.failures(text), "[FAILED] a_test")


class Plan(unittest.TestCase):
    def test_plan(self):
        self.assertIsNone(ktap.plan_problem("TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"))
        for text in ("TAP version 13\n1..2\nok 1 a\n", "TAP version 13\nok 1 a\n", ""):
            with self.subTest(text):
                self.assertTrue(ktap.plan_problem(text))


if __name__ == "__main__":
    unittest.main()
