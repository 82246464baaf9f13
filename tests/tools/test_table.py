# SPDX-License-Identifier: GPL-2.0
"""Tests of tables, and of the counts in them."""

import contextlib
import io
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import table  # noqa: E402
from table import Counts  # noqa: E402


class Results(unittest.TestCase):
    def show(self, *counts):
        """The output of a table with `counts`, and its exit code."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            results = table.Table("suite")
            for number, count in enumerate(counts):
                results.row(f"suite-{number}", count, 1.25, "a detail")
            code = results.end()
        return out.getvalue(), code

    def test_each_as_it_comes_then_all_then_the_sum(self):
        out, code = self.show(Counts(passed=12), Counts(3, 0, 1))
        self.assertEqual(out, "suite-0: 12 passed, 0 failed, 0 skipped, 1.2 s\n"
                              "suite-1: 3 passed, 0 failed, 1 skipped, 1.2 s\n\n"
                              "suite    passed  failed  skipped  seconds\n"
                              "suite-0      12       0        0      1.2\n"
                              "suite-1       3       0        1      1.2\n"
                              "15 passed, 0 failed, 1 skipped\n")
        self.assertEqual(code, 0)

    def test_last_columns_to_the_left(self):
        self.assertEqual(table.text(["a", "b", "c"], [["x", "10", "text"], ["long", "1", "t"]], last=1),
                         "a      b  c\nx     10  text\nlong   1  t")

    def test_details_of_what_failed(self):
        out, code = self.show(Counts(passed=2, failed=1), Counts(passed=1))
        self.assertEqual(out.count("    a detail\n"), 1)
        self.assertEqual(code, 1)

    def test_nothing_is_a_failure(self):
        self.assertEqual(self.show(Counts(skipped=1))[1], 1)
        self.assertEqual(self.show()[1], 1)
