# SPDX-License-Identifier: GPL-2.0
"""Tests of the judgement of object code, with made-up output of objdump."""

import pathlib
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import objcode  # noqa: E402
from common import Failure  # noqa: E402
from tree import Tree  # noqa: E402

PLAIN = "    leal 1(%rdi), %eax\n    jmp 0x10 <probe>\n        R_X86_64_PLT32 __x86_return_thunk-0x4\n    int3\n"
NAMES = ("plain", "guard", "scope", "map", "alloc", "reclaim")


def dump(**bodies):
    return "".join(f"<probe_{name}>:\n{body}\n" for name, body in bodies.items())


class Probe(unittest.TestCase):
    def nothing_left(self, text):
        with mock.patch.object(objcode, "output", return_value=mock.Mock(returncode=0, stdout=text)):
            return objcode.nothing_left(Tree(pathlib.Path("cache")), "release")

    def test_same_length(self):
        listing = self.nothing_left(dump(**dict.fromkeys(NAMES, PLAIN)))
        self.assertIn("probe_guard:\n    leal 1(%rdi), %eax\n", listing)
        self.assertNotIn("int3", listing)

    def test_one_is_longer(self):
        with self.assertRaisesRegex(Failure, "a section does not compile to nothing"):
            self.nothing_left(dump(**dict.fromkeys(NAMES, PLAIN) | {"map": "    incl (%rdi)\n" + PLAIN}))

    def test_one_is_missing(self):
        with self.assertRaisesRegex(Failure, "5 functions .*, expected 6"):
            self.nothing_left(dump(**dict.fromkeys(NAMES[:5], PLAIN)))

    def test_return_thunk_is_no_call(self):
        self.assertFalse(objcode.calls(["jmp 0x10", "R_X86_64_PLT32 __x86_return_thunk-0x4"]))
        self.assertTrue(objcode.calls(["call 0x10", "R_X86_64_PLT32 __might_sleep-0x4"]))


class Debugging(unittest.TestCase):
    def debugging(self, text, code=0):
        with mock.patch.object(objcode, "output", return_value=mock.Mock(returncode=code, stdout=text)):
            return objcode.debugging(Tree(pathlib.Path("cache")), "release")

    def test_what_is_called_for_debugging(self):
        text = "                 U __non_block_time_end\n                 U kfree\n                 U mn_debug_called\n"
        self.assertEqual(self.debugging(text), ["__non_block_time_end", "mn_debug_called"])
        self.assertEqual(self.debugging("                 U kfree\n"), [])

    def test_no_object_file(self):
        with self.assertRaisesRegex(Failure, "no symbols in mm/mmu_notifier.o"):
            self.debugging("No such file", 1)
