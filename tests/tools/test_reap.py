# SPDX-License-Identifier: GPL-2.0
"""Tests of what `make reap` makes of a driver's folder, and of the logs of its guests."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import reap  # noqa: E402
from tree import Tree  # noqa: E402

ALL = "munmap oom mrelease ksm"
GOOD = f"""\
# situations {ALL} \r
#  RUN           munmap ...\r
# row situation=munmap same=96 stale=0 gone=0 exits=yes may_block=1 asked=9 refused=2 longest_us=33\r
# unload situation=munmap users_left=no\r
ok 1 munmap\r
#  RUN           oom ...\r
# row situation=oom same=0 stale=0 gone=0 ms=2310 back=yes exits=yes may_block=1 asked=4 refused=3 longest_us=9\r
# unload situation=oom users_left=no\r
ok 1 oom\r
#  RUN           mrelease ...\r
# row situation=mrelease same=0 stale=0 gone=0 ms=40 back=yes exits=yes may_block=1 asked=1 refused=0 longest_us=9\r
# unload situation=mrelease users_left=no\r
ok 1 mrelease\r
#  RUN           ksm ...\r
# row situation=ksm missing=not in this kernel: CONFIG_KSM\r
# unload situation=ksm users_left=no\r
ok 1 ksm\r
# exit code 0\r
"""
REPORT = """\
[    4.10] reap: oom
[    4.20] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:609
[    4.20] Call Trace:
[    4.20]  <TASK>
[    4.20]  mutex_lock+0x10/0x20
[    4.20]  my_invalidate+0x4b/0x80 [mine]
[    4.20]  oom_reaper+0x280/0x6a0
[    4.20]  </TASK>
[    4.90] reap: end
"""


class Logs(unittest.TestCase):
    """What the bench makes of the logs that a list of guests wrote."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        driver = reap.Driver("mine", {"mine": self.folder / "mine.ko"}, {})
        self.bench = reap.Bench(Tree(self.folder), None, driver, None, self.folder, "256M")

    def run_bench(self, *logs, situations=None):
        """Have the guests write these (KTAP, console, problem); the names that each guest was given."""
        given, logs = [], iter(logs)

        def qemu(label, obj, folder, append, *_, **__):
            given.append(next((word.split("=")[1] for word in append if word.startswith("situations=")), None))
            text, console, problem = next(logs)
            run = types.SimpleNamespace(ktap=self.folder / "ktap", console=self.folder / "console", problem=problem)
            run.ktap.write_text(text)
            run.console.write_text(console)
            return run

        with mock.patch.object(reap.guest, "qemu", qemu), \
                mock.patch.object(reap.frames, "output", return_value=types.SimpleNamespace(
                    stdout="my_invalidate+0x4a/0x80:\nmy_invalidate at mine/mine.c:47\n")):
            self.bench.run(situations)
        return given

    def results(self):
        return {name: row.result() for name, row in self.bench.rows.items()}

    def change(self, old, new):
        self.assertIn(old, GOOD)
        return GOOD.replace(old, new)

    def test_good(self):
        self.run_bench((GOOD, "", None))
        self.assertEqual(self.results(), {"munmap": "ok", "oom": "ok", "mrelease": "ok",
                                          "ksm": "not in this kernel: CONFIG_KSM"})
        self.assertEqual(self.bench.rows["oom"].cells(), ["oom", "4", "1", "3", "9 us", "2.31 s", "-", "ok"])
        self.assertEqual(reap.counts(self.bench), reap.table.Counts(3, 0, 1))

    def test_each_column_can_fail(self):
        for old, new, situation, why in (
                ("ms=2310 back=yes", "ms=3310 back=no left_kb=16384", "oom", "16 MiB not back"),
                ("ms=2310 back=yes", "ms=3310 back=kept", "oom", "the device keeps pages it let go"),
                ("asked=4 refused=3", "asked=0 refused=0", "oom", "the driver is not asked"),
                ("asked=9 refused=2", "asked=9 refused=10", "munmap", "refuses what may block"),
                ("same=96 stale=0", "same=95 stale=1", "munmap", "stale data"),
                ("gone=0 exits=yes may_block=1 asked=9", "gone=0 exits=no may_block=1 asked=9", "munmap",
                 "the process does not exit"),
                ("situation=munmap users_left=no", "situation=munmap users_left=mine:1", "munmap",
                 "mine stays in use (1)"),
                ("ms=40 back=yes", "ms=40 wrong=mrelease:done,not:EINVAL back=yes", "mrelease",
                 "mrelease:done, not:EINVAL"),
                ("ok 1 oom\r\n", "", "oom", "the kernel crashes"),
                ("ok 1 oom\r\n", "Bail out! reap.c:9: no\r\n", "oom", "the kernel crashes, the bench stopped: reap.c:9: no")):
            with self.subTest(why):
                self.bench.rows = {}
                self.run_bench((self.change(old, new), "", None))
                self.assertEqual(self.results(), {"munmap": "ok", "oom": "ok", "mrelease": "ok",
                                                  "ksm": "not in this kernel: CONFIG_KSM"} |
                                 {situation: f"FAILED: {why}"})

    def test_a_report_has_its_place(self):
        self.run_bench((GOOD, REPORT, None))
        self.assertEqual(self.results()["oom"], "FAILED: report: mine/mine.c:47")
        self.assertEqual(self.results()["munmap"], "ok")

    def test_what_comes_after_a_hang_or_crash_is_run(self):
        begin, rest = GOOD.split("# row situation=oom")
        rest = "#  RUN           mrelease" + rest.split("#  RUN           mrelease")[1]
        for problem, why in (("hangs: nothing new for 90 s", "hangs"), (None, "the kernel crashes")):
            with self.subTest(why):
                self.bench.rows = {}
                given = self.run_bench((begin, "", problem), (f"# situations {ALL}\n{rest}", "", None))
                self.assertEqual(given, [None, "mrelease,ksm"])
                self.assertEqual(self.results(), {"munmap": "ok", "oom": f"FAILED: {why}", "mrelease": "ok",
                                                  "ksm": "not in this kernel: CONFIG_KSM"})

    def test_problems_are_one_line(self):
        for problem in ("the driver does not load: insmod: can't insert", "the program exited with 1"):
            text = f"# situations {ALL}\n#  RUN           munmap ...\n# use: no device\n# problem {problem}\n"
            with self.subTest(problem), self.assertRaisesRegex(reap.Failure, f"mine: {problem}\n  no device\n"):
                self.run_bench((text, "", None))

    def test_no_such_situation(self):
        with self.assertRaisesRegex(reap.Failure, "no situation ooom: there are munmap, oom"):
            self.run_bench((GOOD, "", None), situations=["ooom"])

    def test_results(self):
        self.run_bench((self.change("same=96 stale=0", "same=95 stale=1"), "", None))
        reap.write_results(self.bench)
        self.assertEqual((self.folder / "reap.ktap").read_text(),
                         "KTAP version 1\n1..4\n# FAILED: stale data\nnot ok 1 munmap\nok 2 oom\nok 3 mrelease\n"
                         "ok 4 ksm # SKIP not in this kernel: CONFIG_KSM\n")
        records = json.loads((self.folder / "reap.json").read_text())
        self.assertEqual([record["result"] for record in records], ["failed", "passed", "passed", "skipped"])


class Folders(unittest.TestCase):
    """A folder in which something is missing: one line that says what to do."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.obj = pathlib.Path(folder.name)
        (self.obj / "modules.order").write_text("lib/test_hmm.o\n")
        self.driver = self.obj / "mine"
        self.driver.mkdir()

    def refused(self, text):
        return self.assertRaisesRegex(reap.Failure, text)

    def test_none(self):
        with self.refused("name a driver: make reap DRIVER=folder, or one of careless, .*rust_mmu_mirror"):
            reap.run("", None, "", "256M", "rust")

    def test_a_file(self):
        (self.driver / "mine.c").write_text("")
        with self.refused("is a file: name the folder"):
            reap.folder_of(str(self.driver / "mine.c"))

    def test_no_program(self):
        with self.refused("no use.c or use.sh: write one"):
            reap.check_folder(self.driver, self.obj)

    def test_no_module(self):
        (self.driver / "use.c").write_text("")
        with self.refused("has no module: write a Kbuild"):
            reap.check_folder(self.driver, self.obj)

    def test_a_name_that_make_cannot_use(self):
        with self.refused("space or colon"):
            reap.check_folder(self.obj / "my driver", self.obj)

    def test_module_of_the_kernel(self):
        self.driver = self.obj / "test_hmm"
        self.driver.mkdir()
        (self.driver / "use.sh").write_text("")
        self.assertEqual(reap.check_folder(self.driver, self.obj), "test_hmm")

    def build(self, log, code):
        def run_make(tree, config, text, command):
            text.write_text(log)
            return code

        with mock.patch.object(reap.kernel, "run_make", run_make), mock.patch.object(reap.kernel, "make"):
            reap.build_modules(None, "x86_64", self.driver, self.obj / "out")

    def test_does_not_build(self):
        with self.refused("does not build against the kernel: mend this\nmine.c:3:1: error: no"):
            self.build("mine.c:3:1: error: no\n", 2)

    def test_builds_nothing(self):
        with self.refused("Kbuild names no module: add `obj-m"):
            self.build("", 0)

    def test_programs_of_this_machine(self):
        needs = self.driver / "use.sh"
        needs.write_text("#!/bin/sh\n# needs: /usr/bin/pytho[n]3 /etc/pass?d\n\nexec python3\n")
        found = reap.needed(self.driver, "x86_64")
        self.assertEqual(found["/usr/bin/python3"], pathlib.Path("/usr/bin/python3"))
        self.assertIn("/etc/passwd", found)
        self.assertTrue(any("libc.so" in path for path in found))
        with self.assertRaisesRegex(reap.Failure, "use.sh needs /usr/bin/pytho.*for arm64: install it"):
            reap.needed(self.driver, "arm64")
        needs.write_text("# needs: /usr/bin/nothing-like-*\n")
        with self.assertRaisesRegex(reap.Failure, "use.sh needs /usr/bin/nothing-like"):
            reap.needed(self.driver, "x86_64")

    def test_template(self):
        for language, source in (("rust", "my_driver.rs"), ("c", "my_driver.c")):
            with self.subTest(language):
                target = self.obj / language
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    self.assertFalse(reap.run(str(target), None, "", "256M", language))
                self.assertIn(f"There was no {target}. Now there is a small driver", out.getvalue())
                self.assertEqual({path.name for path in target.iterdir()}, {"Kbuild", "my_driver.h", "use.c", source})
                self.assertIsNone(reap.check_folder(target, self.obj))


if __name__ == "__main__":
    unittest.main()
