# SPDX-License-Identifier: GPL-2.0
"""Tables of the costs that `make bench` measured: each is a header and rows."""

import math

from costs import CALLED, INLINED, TIME

# A time with a larger spread is not comparable.
NOISE = 0.25


def number(value):
    return f"{value:.1f}".removesuffix(".0") if value < 1000 else f"{value:.0f}"


def share(value):
    return "n/a" if value is None else f"{value:.2f}"


def columns(kernel, with_core):
    """Return the header of the columns for one kernel."""
    return {INLINED: ["core"] * with_core + ["C", "Rust", "Rust/C"],
            CALLED: ["not inlined", "Rust/C"],
            TIME: ["ns: C", "ns: Rust", "Rust/C", "spread"]}[kernel]


def cells(kernel, with_core, cost):
    """Return the cells of these columns."""
    if kernel == TIME and cost.spread > NOISE:
        return ["noise", "", "", ""]
    ratio = [number(cost.rust), share(cost.ratio)]
    return {INLINED: [number(cost.core)] * with_core + [number(cost.c), *ratio],
            CALLED: ratio,
            TIME: [number(cost.c), *ratio, f"{cost.spread:.0%}"]}[kernel]


def comparison(costs, table):
    """Compare Rust with C: a row for each case of `table`, with columns for each kernel in `costs`."""
    with_core = table == "callbacks"
    header = {kernel: columns(kernel, with_core) for kernel in costs}
    rows = []
    for case in dict.fromkeys(case for by_case in costs.values() for case in by_case if case.table == table):
        row = [str(case)]
        for kernel, by_case in costs.items():
            row += cells(kernel, with_core, by_case[case]) if case in by_case else [""] * len(header[kernel])
        rows.append(row)
    return [table, *sum(header.values(), [])], rows


def size(count):
    return next(f"{count >> shift} {unit}" for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")) if count >> shift)


def growth(costs):
    """Compare invalidations: a row for each way to invalidate, a column for each number of intervals."""
    rows = {}
    for case, cost in costs.items():
        if case.table == "intervals":
            label, count = (case.name, case.others) if case.name == "find" else \
                (f"{case.name}, {size(case.bytes)}", case.hits)
            rows.setdefault(label, {})[count] = f"{number(cost.rust)} {share(cost.ratio)}"
    counts = sorted({count for row in rows.values() for count in row})
    return ["intervals", *map(str, counts)], [[label, *(row.get(count, "") for count in counts)]
                                              for label, row in rows.items()]


def slopes(costs):
    """Calculate the cost of a further interval, from the two largest numbers of intervals."""
    rows = []
    for label, name, field, steps in (
            ("each interval that is hit", "invalidate", "hits", lambda few, many: many - few),
            ("twice as many others", "find", "others", lambda few, many: math.log2(many / few))):
        points = sorted((getattr(case, field), case) for case in costs if case.name == name and case.bytes == 4096)[-2:]
        if len(points) == 2:
            (few, low), (many, high) = points
            rows.append([label, *(number((getattr(costs[high], who) - getattr(costs[low], who)) / steps(few, many))
                                  for who in ("core", "c", "rust"))])
    return ["more intervals", "core", "C", "Rust"], rows


def registrations(sizes):
    """Return the bytes of a registration with the data of the driver, and the structure of the core alone."""
    return ["bytes of a registration", "core", "C", "Rust"], [
        [kind, *(str(sizes[kind][who]) for who in ("core", "c", "rust"))] for kind in sizes]
