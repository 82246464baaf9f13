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


class Listed(unittest.TestCase):
    def test_only_the_tests_of_the_suite(self):
        text = ("[    0.1] Command line: kunit.filter_glob=a_suite.*\r\n[    0.5] KTAP version 1\r\n"
                "[    0.5] a_suite\r\n[    0.5] a_suite.first\r\n[    0.5] other.second\r\na_suite.third\n")
        self.assertEqual(ktap.listed(text, "a_suite"), ["first", "third"])


class Plan(unittest.TestCase):
    def test_plan(self):
        self.assertIsNone(ktap.plan_problem("TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"))
        for text in ("TAP version 13\n1..2\nok 1 a\n", "TAP version 13\nok 1 a\n", ""):
            with self.subTest(text):
                self.assertTrue(ktap.plan_problem(text))
