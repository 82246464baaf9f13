# SPDX-License-Identifier: GPL-2.0
"""The picture of `make bench`, as SVG: Rust beside C for each case, and the cost by the number of intervals."""

import html
import math

WIDTH = 880
GREY, INK = "#8a8f98", "#24292f"
C, RUST = "#2f6fb5", "#c4501b"


class Svg:
    """An SVG file in the making."""

    def __init__(self):
        self.lines = []
        self.height = 0

    def text(self, x, y, text, anchor="start", color=INK, size=12, weight="normal"):
        self.lines.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}" '
                          f'font-weight="{weight}">{html.escape(text)}</text>')

    def line(self, points, color=GREY, width=1, dash=None):
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.lines.append(f'<polyline points="{where}" fill="none" stroke="{color}" stroke-width="{width}"{dashed}/>')

    def dot(self, x, y, color, filled=True):
        self.lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" stroke="{color}" stroke-width="1.5" '
                          f'fill="{color if filled else "white"}"/>')

    def end(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" font-family="sans-serif">',
            '<rect width="100%" height="100%" fill="white"/>', *self.lines, "</svg>", ""])


def ratios(svg, rows):
    """A line for each of `rows`, (label, Rust/C inlined, Rust/C not inlined or None); headings have no numbers."""
    left, right, step = 300, WIDTH - 60, 19
    top = svg.height + 66
    low, high = 0.9, 1.5

    def x(value):
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    svg.text(20, svg.height + 26, "Instructions in Rust, C = 1", size=15, weight="bold")
    svg.dot(310, svg.height + 21, RUST)
    svg.text(320, svg.height + 25, "C helpers inlined into Rust")
    svg.dot(510, svg.height + 21, RUST, False)
    svg.text(520, svg.height + 25, "C helpers called")
    bottom = top + step * len(rows)
    for tenths in range(9, 16):
        svg.line([(x(tenths / 10), top - 8), (x(tenths / 10), bottom)], INK if tenths == 10 else "#e3e5e8")
        svg.text(x(tenths / 10), top - 14, f"{tenths / 10}", "middle", GREY, 11)
    for i, (label, *values) in enumerate(rows):
        y = top + step * i + step / 2
        if not any(values):
            svg.text(20, y + 4, label, weight="bold")
            continue
        svg.text(left - 14, y + 4, label, "end")
        if all(values):
            svg.line([(x(values[0]), y), (x(values[1]), y)], "#e8b59c", 2)
        for value, filled in ((values[1], False), (values[0], True)):
            if value:
                svg.dot(x(value), y, RUST, filled)
            if value and value > high:
                svg.text(x(value) + 10, y + 4, f"{value:.1f}", color=RUST)
    svg.height = bottom + 20


def growth(svg, title, x_title, series, left, right):
    """A log-log plot of `series`, (label, color, dash, [(x, y)]), between `left` and `right`."""
    top, bottom = svg.height + 50, svg.height + 290
    points = [point for *_, line in series for point in line]
    # Zero has no logarithm: it stands where a tenth would.
    decades_x = range(-1, math.ceil(math.log10(max(x for x, _ in points))) + 1)
    low = math.floor(math.log10(min(y for _, y in points)))
    decades_y = range(low, math.ceil(math.log10(max(y for _, y in points))) + 1)

    def at(x, y):
        return (left + (math.log10(x or 0.1) - decades_x[0]) / (decades_x[-1] - decades_x[0]) * (right - left),
                bottom - (math.log10(y) - low) / (decades_y[-1] - low) * (bottom - top))

    svg.text(left - 70, svg.height + 26, title, size=15, weight="bold")
    for decade in decades_y:
        svg.line([at(0, 10 ** decade), at(10 ** decades_x[-1], 10 ** decade)], "#e3e5e8")
        svg.text(left - 8, at(0, 10 ** decade)[1] + 4, f"{10 ** decade:,}", "end", GREY, 11)
    for decade in decades_x:
        value = 0 if decade < 0 else 10 ** decade
        svg.text(at(value, 1)[0], bottom + 18, f"{value:,}", "middle", GREY, 11)
    svg.text((left + right) / 2, bottom + 38, x_title, "middle", GREY)
    for i, (label, color, dash, line) in enumerate(series):
        svg.line([at(*point) for point in line], color, 2, dash)
        for point in line:
            svg.dot(*at(*point), color)
        svg.line([(left + 10, top + 14 + 18 * i), (left + 38, top + 14 + 18 * i)], color, 2, dash)
        svg.text(left + 46, top + 18 + 18 * i, label)


def picture(rows, hit, among, caption):
    """The whole picture: `rows` as for ratios(), and the two plots of growth(), as lists of series."""
    svg = Svg()
    ratios(svg, rows)
    growth(svg, "An invalidation, in instructions", "intervals that it hits", hit, 90, WIDTH / 2 - 20)
    growth(svg, "One interval among others", "other intervals", among, WIDTH / 2 + 90, WIDTH - 40)
    svg.text(20, svg.height + 356, caption, color=GREY, size=11)
    svg.height += 372
    return svg.end()
