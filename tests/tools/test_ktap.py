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


    def test_results_that_are_missing_are_one_line(self):
        text = "[12:00:00] [CRASHED] a_test\n[12:00:00] [CRASHED] \n[12:00:00] [CRASHED] \n"
        self.assertEqual(ktap.failures(text), "[CRASHED] a_test\nresults that are missing: 2")


class Listed(unittest.TestCase):
    def test_only_the_tests(self):
        text = ("[    0.1] Command line: kunit.filter_glob=a_suite.*\r\n[    0.5] KTAP version 1\r\n"
                "[    0.5] a_suite\r\n[    0.5] a_suite.first\r\n[    0.5] other.second\r\na_suite.third\n")
        self.assertEqual(ktap.listed(text), ["a_suite.first", "other.second", "a_suite.third"])


class Hung(unittest.TestCase):
    """What was running when the log ended."""

    LOG = ("[    0.5] KTAP version 1\n[    0.5] 1..2\n[    0.5]     KTAP version 1\n[    0.5]     # Subtest: a\n"
           "[    0.5]     1..3\n")
    NAMES = ["a.first", "a.second", "a.third", "b.first"]

    def test_before_the_first_result(self):
        self.assertEqual(ktap.not_ended(self.LOG, self.NAMES), ["a.first", "a.second"])

    def test_a_result_may_be_missing(self):
        log = self.LOG + "[    0.6]     ok 1 first\n"
        self.assertEqual(ktap.not_ended(log, self.NAMES), ["a.second", "a.third"])

    def test_an_attribute_comes_after_the_test(self):
        log = self.LOG + "[    0.6]     ok 1 first\n[    0.6]     # second.speed: normal\n"
        self.assertEqual(ktap.not_ended(log, self.NAMES), ["a.third"])

    def test_results_of_parameters_are_not_of_tests(self):
        log = self.LOG + "[    0.6]         # Subtest: first\n[    0.6]         ok 1 second\n"
        self.assertEqual(ktap.not_ended(log, self.NAMES), ["a.first", "a.second"])

    def test_of_a_scenario(self):
        log = "1..2\n#  RUN           it loads ...\nok 1 it loads\n    #  RUN           mirror.churn ...\n"
        self.assertEqual(ktap.last_started(log), "mirror.churn")
        self.assertIsNone(ktap.last_started(log + "    not ok 1 mirror.churn\n"))


class Plan(unittest.TestCase):
    def test_plan(self):
        self.assertIsNone(ktap.plan_problem("TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"))
        for text in ("TAP version 13\n1..2\nok 1 a\n", "TAP version 13\nok 1 a\n", ""):
            with self.subTest(text):
                self.assertTrue(ktap.plan_problem(text))
