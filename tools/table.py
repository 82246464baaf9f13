# SPDX-License-Identifier: GPL-2.0
"""Show results of tests as a table."""


def text(header, rows):
    """The lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    return "\n".join("  ".join([first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]).rstrip()
                     for first, *cells in [header, *rows])


class Table:
    """Results as they come in."""

    def __init__(self, kind):
        self.total = [0, 0, 0]
        print(f"{kind:30} passed failed skipped seconds")

    def row(self, name, passed, failed, skipped, seconds, details=""):
        print(f"{name:30} {passed:6} {failed:6} {skipped:7} {seconds:7.1f}", flush=True)
        if failed:
            print("".join(f"    {line}\n" for line in details.strip().splitlines()), end="", flush=True)
        self.total = [sum(pair) for pair in zip(self.total, (passed, failed, skipped))]

    def end(self):
        """Print the last line; the exit code."""
        passed, failed, skipped = self.total
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
        return 1 if failed or not passed else 0
