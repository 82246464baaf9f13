# SPDX-License-Identifier: GPL-2.0
"""Tests of the libraries that programs of this machine need in a guest."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from common import Failure
from initramfs import libraries, with_libraries


class Libraries(unittest.TestCase):
    def test_of_a_program(self):
        found = libraries(["/usr/bin/perl"])
        self.assertTrue(any("libc.so.6" in path for path in found))
        # The one that is not searched, but named in the program.
        self.assertTrue(any("ld-linux" in path for path in found))
        self.assertTrue(all(file.exists() for file in found.values()))

    def test_of_a_static_program(self):
        self.assertEqual({}, libraries(["/usr/bin/busybox"]))

    def test_with_the_program(self):
        found = with_libraries("/usr/bin/perl")
        self.assertIn("/usr/bin/perl", found)
        self.assertEqual(libraries(["/usr/bin/perl"]).keys() | {"/usr/bin/perl"}, found.keys())

    def test_no_program(self):
        with self.assertRaisesRegex(Failure, "there is no /usr/bin/no-such on this machine"):
            with_libraries("/usr/bin/no-such")
