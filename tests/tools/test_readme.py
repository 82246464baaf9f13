# SPDX-License-Identifier: GPL-2.0
"""The driver that README.md shows is the one that is compiled and tested."""

import pathlib
import re
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]


class Readme(unittest.TestCase):
    def test_the_driver_is_the_one_that_is_tested(self):
        source = (PROJECT / "tests/kunit/users/first.rs").read_text()
        parts = re.findall(r"^// \[(\w+)\]\n(.*?)\n// \[\1 end\]$", source, re.M | re.S)
        shown = re.search(r"^```rust\n(.*?)\n```$", (PROJECT / "README.md").read_text(), re.M | re.S)
        self.assertEqual(shown[1], "\n\n".join(text for _, text in parts))
