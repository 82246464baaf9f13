# SPDX-License-Identifier: GPL-2.0
"""Draw the picture of `make bench`: Rust beside C for each case, and the cost by the number of intervals."""

import io

import matplotlib
from matplotlib import pyplot

from costs import CALLED, INLINED

# Text can be searched, and the same numbers give the same file.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "nonblock", "font.size": 9, "axes.spines.top": False,
                        "axes.spines.right": False, "legend.frameon": False}
MOST_OTHERS = 100000


def ratios(axes, costs):
    """Draw a line for each case: Rust/C with the helpers inlined, and called."""
    cases = [case for case in costs[INLINED] if case.table != "intervals" and case.others in (0, MOST_OTHERS)]
    for kernel, label, face in ((CALLED, "C helpers called", "white"), (INLINED, "C helpers inlined into Rust", "C1")):
        points = [(costs[kernel][case].ratio, y) for y, case in enumerate(cases)
                  if case in costs[kernel] and costs[kernel][case].ratio]
        axes.scatter(*zip(*points), label=label, color="C1", facecolor=face, zorder=3)
    axes.set(title="Instructions in Rust, C = 1; above the line without the core", xscale="log")
    axes.set_yticks(range(len(cases)), map(str, cases))
    ticks = [0.9, 1, 1.1, 1.25, 1.5]
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.tick_params(left=False)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.axhline(sum(case.table == "callbacks" for case in cases) - 0.5, color="black", linewidth=0.8)
    axes.legend()


def growth(axes, costs, title, y_scale, points):
    """Draw the cost of an invalidation by the number of intervals; `points` is {number: case}."""
    for label, who, style in (("core", "core", "-"), ("callbacks in C", "c", "-"), ("callbacks in Rust", "rust", "--")):
        axes.plot(list(points), [getattr(costs[case], who) for case in points.values()], style, marker=".", label=label)
    axes.set(title=title, yscale=y_scale)
    # Zero has no logarithm.
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()


def picture(costs, caption):
    """Draw {kernel: {Case: Cost}}, and return the SVG."""
    figure = pyplot.figure(figsize=(9, 11), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[2, 1])
    ratios(above.subplots(), costs)
    left, right = below.subplots(1, 2)
    inlined = costs[INLINED]
    growth(left, inlined, "Instructions by intervals that are hit", "log",
           {case.hits: case for case in inlined if case.name == "invalidate" and case.bytes == 1 << 30})
    growth(right, inlined, "Instructions by other intervals", "linear",
           {case.others: case for case in inlined if case.name == "find"})
    below.supxlabel(caption, color="gray", fontsize="small")
    svg = io.StringIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    # A mail must not have spaces at the end of lines, and matplotlib writes one after each point of a path.
    return svg.getvalue().replace(" \n", " ")
