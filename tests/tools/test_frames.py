# SPDX-License-Identifier: GPL-2.0
"""Tests of how a driver is found in a report of the kernel."""

import pathlib
import sys
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import frames  # noqa: E402
from tree import Tree  # noqa: E402

SLEEPS = """\
BUG: sleeping function called from invalid context
1 lock held by use/73:
 #0: (&my->lock), at: other+0x10/0x20 [mine]
Call Trace:
 __might_resched+0x1f8/0x2b0
 mutex_lock+0x20/0x30
 ? earlier+0x1f/0x80 [mine]
 my_invalidate+0x4b/0x80 [mine]
 my_ioctl+0x1b/0x80 [mine]
"""


class Place(unittest.TestCase):
    def place(self, text, printed):
        """Where the driver is, and what faddr2line was called with, which printed this."""
        with mock.patch.object(frames, "output", return_value=types.SimpleNamespace(stdout=printed)) as called:
            place = frames.place(Tree(pathlib.Path("/cache")), {"mine": "mine.ko"}, text)
        words = [call.args[0] for call in called.call_args_list]
        return place, words[0][3:] if words else None

    def test_the_call_and_not_the_address_to_return_to(self):
        self.assertEqual(self.place(SLEEPS, "my_invalidate+0x4a/0x7c:\nmy_invalidate at /home/mine/mine.c:47\n"),
                         ("/home/mine/mine.c:47", ["mine.ko", "my_invalidate+0x4a"]))

    def test_where_an_oops_is(self):
        place, words = self.place("RIP: 0010:my_invalidate+0x4b/0x80 [mine]\nCode: 00\n", "x at mine.c:47\n")
        self.assertEqual((place, words[1]), ("mine.c:47", "my_invalidate+0x4b"))

    def test_arm64(self):
        place, words = self.place(SLEEPS.replace("Trace", "trace"), "x at mine.c:47\n")
        self.assertEqual((place, words[1]), ("mine.c:47", "my_invalidate+0x4a"))
        place, words = self.place("pc : my_invalidate+0x4c/0x80 [mine]\nlr : my_ioctl+0x1c/0x80 [mine]\n", "x at mine.c:47\n")
        self.assertEqual((place, words[1]), ("mine.c:47", "my_invalidate+0x4c"))

    def test_what_is_inlined_is_not_the_driver(self):
        printed = ("my_invalidate at /cache/tree/include/linux/mm.h:9\n (inlined by) my_invalidate at mine.c:47\n")
        self.assertEqual(self.place(SLEEPS, printed)[0], "mine.c:47")

    def test_without_lines_it_is_the_function(self):
        self.assertTrue(self.place(SLEEPS, "my_invalidate at ??:?\n")[0].endswith(" [mine]"))

    def test_samples_are_drivers(self):
        printed = "f at /cache/tree/samples/rust/rust_mmu_mirror.rs:144\n"
        self.assertEqual(self.place(SLEEPS, printed)[0], "samples/rust/rust_mmu_mirror.rs:144")

    def test_another_module(self):
        self.assertEqual(self.place(SLEEPS.replace("[mine]", "[theirs]"), ""), (None, None))


if __name__ == "__main__":
    unittest.main()
