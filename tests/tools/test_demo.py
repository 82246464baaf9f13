# SPDX-License-Identifier: GPL-2.0
"""Tests of what `make demo` reads from the logs of its guest."""

import contextlib
import io
import itertools
import pathlib
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import demo  # noqa: E402

KTAP = """\
# story way=oom driver=lets-go ms=2330 freed_kb=33792\r
ok 1 oom lets-go\r
# story way=oom driver=sleeps ms=2280 freed_kb=33792\r
# story way=mrelease driver=refuses ms=30 eagain=3\r
"""
CONSOLE = """\
[    4.10] story: oom lets-go\r
[    6.40] oom_reaper: reaped process 71 (oom_story), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB\r
[    6.41] story: end\r
[    7.10] story: oom sleeps\r
[    9.30] oom_reaper: unable to reap pid:74 (oom_story)\r
[    9.41] story: end\r
"""


@contextlib.contextmanager
def booted(ktap, console):
    """A boot with these logs."""
    with tempfile.TemporaryDirectory() as folder:
        boot = types.SimpleNamespace(ktap=pathlib.Path(folder) / "ktap", console=pathlib.Path(folder) / "console")
        boot.ktap.write_text(ktap)
        boot.console.write_text(console)
        yield boot


class Stories(unittest.TestCase):
    def test_stories(self):
        with booted(KTAP, CONSOLE) as boot:
            stories = demo.stories(boot)
        self.assertEqual({which: story.reaper() for which, story in stories.items()},
                         {("oom", "lets-go"): "reaped process, anon-rss:0kB", ("oom", "sleeps"): "unable to reap",
                          ("mrelease", "refuses"): "3 x EAGAIN, done"})
        self.assertEqual(stories["oom", "sleeps"].numbers["ms"], "2280")

    def test_missing(self):
        with booted(KTAP, CONSOLE) as boot:
            demo.check(boot, demo.stories(boot), [("oom", "lets-go")])
            with self.assertRaisesRegex(demo.Failure, "no result for oom refuses"):
                demo.check(boot, demo.stories(boot), [("oom", "lets-go"), ("oom", "refuses")])

    def test_wrong(self):
        with booted(KTAP, CONSOLE) as boot:
            demo.judge(boot)
        with booted(f"{KTAP}not ok 2 oom sleeps\r\n", CONSOLE) as boot:
            with self.assertRaisesRegex(demo.Failure, "unexpected outcome: oom sleeps"):
                demo.judge(boot)
        with booted(KTAP, f"{CONSOLE}BUG: sleeping function called\n") as boot:
            with self.assertRaisesRegex(demo.Failure, "BUG: sleeping"):
                demo.judge(boot)


WAITS = """\
# waits way=oom driver=waits form=c reaped=0 ms=1488 tries=10 refused=10 blocking=0\r
ok 3 oom: waits, c\r
# waits way=memcg driver=many form=deferring reaped=1 ms=502 tries=5 refused=10 blocking=10\r
# waits way=oom driver=waits form=c+waits reaped=1 ms=1340 tries=10 refused=10 blocking=2\r
# waits way=oom driver=holds form=c+waits reaped=1 ms=310 tries=4 refused=3 blocking=0\r
"""


class Waits(unittest.TestCase):
    def test_waits(self):
        with booted(WAITS, "") as boot:
            self.assertEqual(demo.waits(boot), {("oom", "waits", "c"): "never",
                                                ("memcg", "many", "deferring"): "0.50 s, try 5",
                                                ("oom", "waits", "c+waits"): "1.34 s, waited",
                                                ("oom", "holds", "c+waits"): "0.31 s, try 4"})

    def test_table(self):
        for forms in ([*demo.FORMS], [*demo.FORMS, *demo.FORMS_WAITING]):
            results = {which: f"{which[0]}-{which[2]}" for which in itertools.product(demo.WAYS, demo.WAITING, forms)}
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                demo.waiting_table(results)
            rows = [line.split()[-3:] for line in out.getvalue().splitlines() if line.startswith("    ")]
            self.assertEqual(rows, [[f"{way}-{form}" for way in demo.WAYS] for form in forms] * len(demo.WAITING))
