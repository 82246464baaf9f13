# SPDX-License-Identifier: GPL-2.0
"""README.md and CONTRIBUTING.md: code, names, numbers and links in them are those of the project."""

import pathlib
import re
import unittest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
FRONT = {name: (PROJECT / name).read_text() for name in ("README.md", "CONTRIBUTING.md") if (PROJECT / name).exists()}
PATCHES = sorted((PROJECT / "patches").glob("*/*.patch"))


def section(title):
    """Return the section of README.md with this title."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)[1]


def cells(text):
    """Return the rows of the tables in `text`, each as a list, without their headers."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in re.findall(r"^\|.*\|$", text, re.M)]
    rulers = [number for number, row in enumerate(rows) if re.fullmatch(r"-+", row[0])]
    return [row for number, row in enumerate(rows) if number not in rulers and number + 1 not in rulers]


def joined(text):
    return " ".join(text.split())


class Code(unittest.TestCase):
    def test_the_driver_is_the_one_that_is_tested(self):
        source = (PROJECT / "tests/kunit/first.rs").read_text()
        parts = re.findall(r"^// \[(\w+)\]\n(.*?)\n// \[\1 end\]$", source, re.M | re.S)
        shown = re.search(r"^```rust\n(.*?)\n```$", section("I write a driver"), re.M | re.S)
        self.assertEqual(shown[1], "\n\n".join(text for _, text in parts))

    def test_the_two_functions_are_those_of_the_trait(self):
        trait = joined((PROJECT / "rust/kernel/mm/mmu_notifier/interval.rs").read_text())
        shown = re.search(r"^```rust\n(.*?)\n```$", README, re.M | re.S)[1].split("\n\n")
        self.assertEqual(len(shown), 2)
        for function in shown:
            self.assertIn(joined(function), trait)

    def test_the_error_is_the_one_that_is_expected(self):
        program = (PROJECT / "tests/ui/interval_nonblocking_locks.rs").read_text()
        shown = re.search(r"^```\n(error.*?)\n```$", README, re.M | re.S)[1]
        self.assertIn(re.search(r"^//~ (.*)$", program, re.M)[1], shown)


class Names(unittest.TestCase):
    def test_the_patches_are_counted(self):
        groups = {patch.parent for patch in PATCHES}
        self.assertIn(f"**Status**: {len(PATCHES)} patches in {len(groups)} groups ", README)

    def test_each_group_is_named(self):
        named = {name for row in cells(section("I maintain mm, locking or Rust")) if len(row) == 2
                 for name in re.findall(r"`([\w-]+)`", row[0])}
        self.assertEqual(named, {patch.parent.name for patch in PATCHES})

    def test_each_defect_has_a_patch_and_a_test(self):
        names = {f"{patch.parent.name}/{patch.stem.split('-', 1)[1]}" for patch in PATCHES}
        tests = "".join(path.read_text() for path in (PROJECT / "mm/tests").glob("*.c"))
        rows = [row for row in cells(section("I maintain mm, locking or Rust")) if len(row) == 3]
        self.assertTrue(rows)
        for defect, patches, where in rows:
            self.assertLessEqual(set(re.findall(r"`(.*?)`", patches)), names, defect)
            for test in re.findall(r"`([a-z_/.]+)`", where):
                found = (PROJECT / test).exists() if "/" in test else re.search(rf"\b{test}\b", tests)
                self.assertTrue(found, f"{defect}: {test}")

    def test_the_users_are_counted(self):
        page = (PROJECT / "Documentation/mm/rust-mmu-notifier-users.rst").read_text()
        table = re.search(r"^The table\n=+\n(.*?)^\S[^\n]*\n=+$", page, re.M | re.S)[1]
        users = len(re.findall(r"^   \* - ", table, re.M)) - 1
        shown = [int(number) for number in re.findall(r"(\d+) (?:tables of|C users)", README)]
        self.assertEqual(shown, [users, users])

    def test_the_targets_exist(self):
        makefile = (PROJECT / "Makefile").read_text()
        targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())
        for name, text in FRONT.items():
            self.assertLessEqual(set(re.findall(r"(?:`|^    )make ([a-z][\w-]*)", text, re.M)), targets, name)


class Links(unittest.TestCase):
    def test_the_links_lead_somewhere(self):
        for name, text in FRONT.items():
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
                       for title in re.findall(r"^#+ (.*)$", text, re.M)}
            for link in re.findall(r"\]\(([^)]+)\)", text):
                if link.startswith("#"):
                    self.assertIn(link[1:], anchors, name)
                elif "://" not in link:
                    self.assertTrue((PROJECT / link).exists(), f"{name}: {link}")

    def test_the_paths_exist(self):
        for name, text in FRONT.items():
            for path in re.findall(r"`((?:tests|tools|samples|rust|mm|configs|bench|patches)/[\w./-]*)`", text):
                if "NAME" in path or "GROUP" in path:
                    continue
                # A file of the kernel that is not ours is changed by a patch.
                ours = (PROJECT / path).exists() or any(f" b/{path}\n" in patch.read_text() for patch in PATCHES)
                self.assertTrue(ours, f"{name}: {path}")
