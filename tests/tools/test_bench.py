# SPDX-License-Identifier: GPL-2.0
"""Tests of the sums, tables and limits of `make bench`."""

import contextlib
import csv
import importlib.util
import io
import pathlib
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import bench  # noqa: E402
import cost_tables  # noqa: E402
from costs import CALLED, INLINED, REAP_PAGES, TIME, Case, costs, sizes  # noqa: E402


def line(case, who, batch, q1, median, q3):
    return (f"[    0.45] bench: cost: table={case.table} case={case.name} bytes={case.bytes} hits={case.hits} "
            f"others={case.others} who={who} batch={batch} q1={q1} median={median} q3={q3}\n")


START = Case("callbacks", "list_start", 4096, 1, 0)
SECTION = Case("callbacks", "section", 4096, 0, 0)
READ = Case("operations", "mirror_read", 4096, 1, 0)
REAP = Case("operations", "mirror_reap", REAP_PAGES * 4096, 1, 0)

LOG = """\
[    0.45] bench: size: who=core interval=88 list=56
[    0.45] bench: size: who=c interval=136 list=96
[    0.45] bench: size: who=rust interval=152 list=96
"""
LOG += "".join(line(START, who, 100, *numbers) for who, numbers in {
    "loop": [1100] * 3, "core": [2100] * 3, "c": [3000, 3100, 3500], "rust": [3300] * 3}.items())
LOG += "".join(line(SECTION, who, 10, 10, 10, 10) for who in ("loop", "core", "c", "rust"))

STORY = line(READ, "c", 1, 8, 8, 8) + line(READ, "rust", 1, 9, 9, 9) + "".join(
    f"who={who}\n# story way=mrelease ms=30 eagain=0 cycles={cycles * REAP_PAGES}\nok 1 mrelease lets-go\n"
    for who in ("c", "rust") for cycles in (1, 3, 2))


def growing(name, field):
    """A log in which each interval takes 2 instructions of the core, and 1 and 2 more with callbacks."""
    return "".join(line(Case("intervals", name, 4096, 1, 0)._replace(**{field: count}), who, 1, *[each * count] * 3)
                   for count in (1, 10, 1000) for who, each in (("core", 2), ("c", 3), ("rust", 4)))


class Sums(unittest.TestCase):
    def test_core_and_loop_are_taken_off_callbacks(self):
        cost = costs(LOG, INLINED)[START]
        self.assertEqual((cost.core, cost.c, cost.rust), (10, 10, 12))

    def test_core_is_part_of_times(self):
        cost = costs(LOG, TIME)[START]
        self.assertEqual((cost.core, cost.c, cost.rust), (10, 20, 22))

    def test_core_is_part_of_operations(self):
        insert = Case("operations", "interval_insert", 4096, 0, 0)
        text = "".join(line(insert, who, 1, n, n, n) for who, n in (("core", 5), ("c", 7), ("rust", 8)))
        cost = costs(text, INLINED)[insert]
        self.assertEqual((cost.c, cost.rust), (7, 8))

    def test_spread_is_the_larger_one(self):
        self.assertEqual(costs(LOG, TIME)[START].spread, 5 / 20)

    def test_steps_of_the_clock_are_noise(self):
        quick = "".join(line(START, who, 1, n, n, n) for who, n in {"loop": 20, "c": 90, "rust": 70}.items())
        self.assertGreater(costs(quick, TIME)[START].spread, cost_tables.NOISE)

    def test_nothing_has_no_ratio(self):
        self.assertIsNone(costs(LOG, INLINED)[SECTION].ratio)

    def test_what_costs_nothing_in_c_counts_as_one(self):
        self.assertEqual(costs(LOG.replace("3000 median=3100", "2100 median=2100"), INLINED)[START].ratio, 12)

    def test_mirror_has_no_loop_and_is_by_the_page(self):
        found = costs(STORY, INLINED)
        self.assertEqual((found[READ].c, found[READ].rust, found[REAP].c), (8, 9, 2))


class Limits(unittest.TestCase):
    def missed(self, inlined, called=""):
        texts = {INLINED: inlined, CALLED: called, TIME: LOG}
        return list(bench.missed({kernel: costs(text, kernel) for kernel, text in texts.items()}))

    def test_missed_and_met(self):
        met = LOG.replace("3300", "3100")
        self.assertEqual(self.missed(met, met), [])
        self.assertEqual(self.missed(LOG, met), ["list_start (bench): 1.20 of C, at most 1.00"])
        self.assertEqual(self.missed(met, LOG), ["list_start (bench-calls): 1.20 of C, at most 1.05"])

    def test_exception_has_a_limit_too(self):
        with mock.patch.object(bench, "EXCEPTIONS", {"list_start": {INLINED: 1.20, CALLED: 1.10}}):
            self.assertEqual(len(self.missed(LOG, LOG)), 1)

    def test_exceptions_are_cases(self):
        self.assertLessEqual(bench.EXCEPTIONS.keys(), set(bench.cases()))


class Cases(unittest.TestCase):
    def test_each_has_one_name(self):
        self.assertEqual(len(bench.cases()), len(set(bench.cases())))
        self.assertIn("section", bench.cases())

    def test_a_case_that_was_not_measured(self):
        measured = {INLINED: costs(LOG, INLINED), CALLED: {}}
        self.assertEqual(bench.unmeasured("list_start*", measured), ["list_start_end"])


class Tables(unittest.TestCase):
    def rows(self, text, kernels=(INLINED, TIME)):
        return cost_tables.comparison({kernel: costs(text, kernel) for kernel in kernels}, "callbacks")[1]

    def test_comparison(self):
        self.assertEqual(self.rows(LOG), [
            ["list_start", "10", "10", "12", "1.20", "20", "22", "1.10", "25%"],
            ["section", "0", "0", "0", "n/a", "noise", "", "", ""]])

    def test_case_of_one_kernel_only(self):
        rows = cost_tables.comparison({INLINED: costs(STORY, INLINED), TIME: {}}, "operations")[1]
        self.assertEqual(rows, [["mirror_read", "8", "9", "1.12", "", "", "", ""],
                                ["mirror_reap", "2", "2", "1.00", "", "", "", ""]])

    def test_noise_is_not_compared(self):
        rows = self.rows(LOG.replace("q3=3500", "q3=9900"), kernels=[TIME])
        self.assertEqual(rows[0], ["list_start", "noise", "", "", ""])

    def test_growth(self):
        header, rows = cost_tables.growth(costs(growing("invalidate", "hits") + growing("find", "others"), INLINED))
        self.assertEqual(header, ["intervals", "1", "10", "1000"])
        self.assertEqual(rows, [[label, "4 1.33", "40 1.33", "4000 1.33"] for label in ("invalidate, 4 KiB", "find")])

    def test_slopes(self):
        rows = cost_tables.slopes(costs(growing("invalidate", "hits") + growing("find", "others"), INLINED))[1]
        self.assertEqual(rows, [["each interval that is hit", "2", "3", "4"],
                                ["twice as many others", "298", "447", "596"]])

    def test_registrations(self):
        self.assertEqual(cost_tables.registrations(sizes(LOG))[1],
                         [["interval", "88", "136", "152"], ["list", "56", "96", "96"]])

    def test_shown(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            bench.show({kernel: costs(LOG, kernel) for kernel in (INLINED, CALLED, TIME)}, sizes(LOG))
        self.assertRegex(out.getvalue(), r"callbacks +core +C +Rust +Rust/C +not inlined.*\nlist_start +10 +10 +12 +1\.2")
        self.assertNotIn("operations", out.getvalue())


class Page(unittest.TestCase):
    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "only make bench installs matplotlib")
    def test_tables_and_picture(self):
        text = LOG + STORY + growing("find", "others") + growing("invalidate", "hits").replace("4096", str(1 << 30))
        measured = {kernel: costs(text, kernel) for kernel in (INLINED, CALLED, TIME)}
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            page = pathlib.Path(folder) / bench.PAGE.name
            bench.write_page(page, measured, sizes(text), "a <version>")
            with open(f"{page}-callbacks.csv") as table:
                rows = list(csv.reader(table))
            picture = pathlib.Path(f"{page}.svg").read_text()
            included = re.findall(r"(?::file:|kernel-figure::) (\S+)", bench.PAGE.with_suffix(".rst").read_text())
            self.assertEqual(sorted(included), sorted(path.name for path in pathlib.Path(folder).iterdir()))
            bench.write_page(page, measured, sizes(text), "a <version>")
            self.assertEqual(pathlib.Path(f"{page}.svg").read_text(), picture)
        self.assertNotRegex(picture, r"(?m)\s$(?!\Z)")
        self.assertEqual(rows, [["callbacks", "core", "C", "Rust", "Rust/C", "not inlined", "Rust/C"],
                                ["list_start", "10", "10", "12", "1.20", "12", "1.20"],
                                ["section", "0", "0", "0", "n/a", "0", "n/a"]])
        self.assertEqual(xml.fromstring(picture).tag, "{http://www.w3.org/2000/svg}svg")
        for word in ("list_start", "mirror_read", "a &lt;version&gt;"):
            self.assertIn(word, picture)
