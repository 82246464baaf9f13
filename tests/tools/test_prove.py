# SPDX-License-Identifier: GPL-2.0
"""Tests of what `make prove` expects of the kernel."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import prove  # noqa: E402
from common import Failure  # noqa: E402


def header(**changed):
    """Return the text of a header with these structs, in which those of FIELDS are as they should be."""
    structs = {name: [f"\tbool (*{field})(int x);" if name.endswith("ops") else f"\tint {field};" for field in fields]
               for name, fields in prove.FIELDS.items()} | changed
    return "".join(f"struct {name} {{\n" + "\n".join(lines) + "\n};\n" for name, lines in structs.items())


class Fields(unittest.TestCase):
    def test_as_they_should_be(self):
        prove.check_fields(header())

    def test_another_order(self):
        lines = [f"\tbool (*{field})(struct a *a,\n\t\tint b);"
                 for field in ("invalidate_start", "invalidate", "invalidate_finish")]
        with self.assertRaisesRegex(Failure, "mmu_interval_notifier_ops has the fields invalidate_start, invalidate, "):
            prove.check_fields(header(mmu_interval_notifier_ops=lines))

    def test_one_more(self):
        lines = [f"\t/* int old; */\n\tunsigned long {field};" for field in ("mm", "start", "end", "more", "flags")]
        with self.assertRaisesRegex(Failure, "mmu_notifier_range has the fields mm, start, end, more, flags: "):
            prove.check_fields(header(mmu_notifier_range=lines))

    def test_not_there(self):
        with self.assertRaisesRegex(Failure, "the fields of another header"):
            prove.check_fields("struct mm_struct;\n")
