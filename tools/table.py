# SPDX-License-Identifier: GPL-2.0
"""Show tables, and count results of tests."""

import dataclasses


def text(header, rows, last=0):
    """Return the lines of a table: the first column and the `last` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    to_left = [0, *range(len(header) - last, len(header))]
    return "\n".join("  ".join(cell.ljust(width) if column in to_left else cell.rjust(width)
                               for column, (cell, width) in enumerate(zip(cells, widths))).rstrip()
                     for cells in [header, *rows])


@dataclasses.dataclass
class Counts:
    """The numbers of tests that passed, failed and were skipped."""
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Table:
    """Results of tests: prints each result at once, and all of them in a table at the end."""

    def __init__(self, kind):
        self.kind = kind
        self.rows = []
        self.total = Counts()

    def row(self, name, counts, seconds, details=""):
        self.rows.append([name, str(counts.passed), str(counts.failed), str(counts.skipped), f"{seconds:.1f}"])
        self.total += counts
        print(f"{name}: {counts}, {seconds:.1f} s", flush=True)
        if counts.failed:
            print("".join(f"    {line}\n" for line in details.strip().splitlines()), end="", flush=True)

    def end(self):
        """Print the table and the sum, and return the exit code."""
        print(f"\n{text([self.kind, 'passed', 'failed', 'skipped', 'seconds'], self.rows)}\n{self.total}")
        return 1 if self.total.failed or not self.total.passed else 0
