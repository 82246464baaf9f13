# SPDX-License-Identifier: GPL-2.0
"""Tests of what `make demo` reads from the logs of its guest."""

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


class Stories(unittest.TestCase):
    def test_stories(self):
        with tempfile.TemporaryDirectory() as folder:
            boot = types.SimpleNamespace(ktap=pathlib.Path(folder) / "ktap", console=pathlib.Path(folder) / "console")
            boot.ktap.write_text(KTAP)
            boot.console.write_text(CONSOLE)
            stories = demo.stories(boot)
        self.assertEqual({which: story.reaper() for which, story in stories.items()},
                         {("oom", "lets-go"): "reaped process, anon-rss:0kB", ("oom", "sleeps"): "unable to reap",
                          ("mrelease", "refuses"): "3 x EAGAIN, done"})
        self.assertEqual(stories["oom", "sleeps"].numbers["ms"], "2280")
