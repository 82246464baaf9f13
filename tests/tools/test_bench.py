# SPDX-License-Identifier: GPL-2.0
"""Tests of the sums of `make bench`."""

import contextlib
import io
import pathlib
import sys
import unittest
import xml.etree.ElementTree as xml
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import bench  # noqa: E402
import chart  # noqa: E402

def cost(case, who, batch, q1, median, q3):
    return (f"[    0.45] bench: cost: case={case} bytes=4096 hits=1 others=0 who={who} batch={batch} "
            f"q1={q1} median={median} q3={q3}\n")


LOG = """\
[    0.45] bench: size: who=core interval=88 list=56
[    0.45] bench: size: who=c interval=136 list=96
[    0.45] bench: size: who=rust interval=152 list=96
"""
LOG += "".join(cost("list-start", who, 100, *numbers) for who, numbers in {
    "loop": [1100] * 3, "core": [2100] * 3, "c": [3000, 3100, 3500], "rust": [3300] * 3}.items())
LOG += "".join(cost("section", who, 10, 10, 10, 10) for who in ("loop", "core", "c", "rust"))

STORY = """\
cost: case=mirror-read bytes=4096 hits=1 others=0 who=c batch=1 q1=8 median=8 q3=8
who=c
# story way=mrelease driver=lets-go ms=30 eagain=0 cycles=8192
ok 1 mrelease lets-go
who=c
# story way=mrelease driver=lets-go ms=30 eagain=0 cycles=24576
ok 1 mrelease lets-go
who=c
# story way=mrelease driver=lets-go ms=30 eagain=0 cycles=16384
"""

START = ("list-start", 4096, 1, 0)


def said(report):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        report.show()
    return out.getvalue()


class Sums(unittest.TestCase):
    def test_loop_is_taken_off(self):
        costs = bench.Costs(LOG)
        self.assertEqual([costs.whole(START, who) for who in ("core", "c", "rust")], [10, 20, 22])

    def test_core_is_taken_off_callbacks(self):
        costs = bench.Costs(LOG)
        self.assertEqual([costs.own(START, who) for who in ("c", "rust")], [10, 12])

    def test_spread_is_the_larger_one(self):
        self.assertEqual(bench.Costs(LOG).spread(START), 5 / 20)

    def test_steps_of_the_clock_are_noise(self):
        quick = "".join(cost("list-start", who, 1, n, n, n) for who, n in {"loop": 20, "c": 90, "rust": 70}.items())
        self.assertGreater(bench.Costs(quick).spread(START), bench.NOISE)

    def test_nothing_has_no_ratio(self):
        self.assertIsNone(bench.ratio(0, 0))
        self.assertEqual(bench.ratio(7, 0), 7)

    def test_story_is_told_by_the_page(self):
        self.assertEqual(bench.Costs(STORY).whole(("reap", bench.STORY_PAGES * 4096, 1, 0), "c"), 2)

    def test_no_loop_to_take_off(self):
        self.assertEqual(bench.Costs(STORY).whole(("mirror-read", 4096, 1, 0), "c"), 8)


class Goals(unittest.TestCase):
    def test_missed_and_met(self):
        met = LOG.replace("3300", "3100")
        for inlined, calls, missed in ((met, met, []), (LOG, met, [("list-start", bench.INLINED)]),
                                       (met, LOG, [("list-start", bench.CALLS)])):
            costs = {bench.INLINED: bench.Costs(inlined), bench.CALLS: bench.Costs(calls)}
            self.assertEqual(bench.Report(costs).missed, missed)

    def test_exception_has_a_limit_too(self):
        exception = {"list-start": ("a", {bench.INLINED: 1.20, bench.CALLS: 1.10})}
        costs = {name: bench.Costs(LOG) for name in (bench.INLINED, bench.CALLS)}
        with mock.patch.object(bench, "EXCEPTIONS", exception):
            self.assertEqual(bench.Report(costs).missed, [("list-start", bench.CALLS)])

    def test_time_has_no_goal(self):
        self.assertEqual(bench.Report({bench.TIME: bench.Costs(LOG)}).missed, [])


class Shown(unittest.TestCase):
    def test_tables(self):
        text = said(bench.Report({bench.INLINED: bench.Costs(LOG), bench.TIME: bench.Costs(LOG)}))
        self.assertRegex(text, r"list: start +10 +10 +12 +1\.20 +20 +22 +1\.10 +25%")
        self.assertRegex(text, r"a non-blocking section +0 +0 +0 +- ")
        self.assertRegex(text, r"interval +88 +136 +152")

    def test_noise_is_not_compared(self):
        noisy = LOG.replace("q3=3500", "q3=9900")
        self.assertRegex(said(bench.Report({bench.TIME: bench.Costs(noisy)})), r"list: start +noise\n")

    def test_slope(self):
        text = "".join(cost("invalidate", who, 1, *[each * hits] * 3).replace("hits=1", f"hits={hits}")
                       for hits in (10, 1000) for who, each in (("core", 2), ("c", 3), ("rust", 4)))
        self.assertIn("each interval that is hit          takes 2.0 (core), 3.0 (C), 4.0 (Rust)",
                      said(bench.Report({bench.INLINED: bench.Costs(text)})))

    def test_footnotes_are_there(self):
        letters = "".join(letters for letters, _ in bench.EXCEPTIONS.values())
        self.assertEqual(set(letters), set(bench.FOOTNOTES))

    def test_picture_is_xml(self):
        line = [("C", chart.C, None, [(0, 30), (10, 500), (100000, 4e6)])]
        text = chart.picture([("callbacks", None, None), ("a < b", 1.0, 1.2), ("c", 0.8, None)], line, line, "made by")
        self.assertEqual(xml.fromstring(text).tag, "{http://www.w3.org/2000/svg}svg")


if __name__ == "__main__":
    unittest.main()
