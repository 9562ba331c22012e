"""The report's drawings: small SVG pieces as strings, coloured by the page's CSS classes.

Only marks are drawn here. Words and numbers stand beside them as HTML, so that they keep their
size on a phone and can be read aloud; every drawing is ``aria-hidden`` or carries a label. Plots
stretch to their box (``preserveAspectRatio="none"``) with strokes that do not.

    interval_bar(estimate, (0.0, 1.0)) -> '<svg class="bar" viewBox="0 0 1000 20" ...'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from metier.core.types import Estimate

WIDTH, BAR_HEIGHT, PLOT_HEIGHT = 1000, 20, 300
SMALLEST_CELL, LARGEST_CELL, HEAT_WIDTH = 11, 18, 860
TOP, LABEL_CHARS = 16, 28
Bounds = tuple[float, float]


def interval_bar(
    estimate: Estimate, bounds: Bounds, mark: str = "", goal: float | None = None
) -> str:
    """Draw a bar from the left edge to the value, its interval as a whisker, and the goal line.

    ``mark`` is an extra CSS class. An interval of NaN draws no whisker.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    parts = []
    if math.isfinite(value):
        width = _x(value, bounds)
        parts.append(f'<rect class="fill" x="0" y="4" width="{width:.1f}" height="12"/>')
    parts.append(_whisker(low, high, bounds))
    if goal is not None:
        x = _x(goal, bounds)
        parts.append(_line(x, 0, x, BAR_HEIGHT, "goal"))
    return _bar("bar " + mark, parts)


def interval_dot(estimate: Estimate, bounds: Bounds, mark: str = "") -> str:
    """Draw an interval as a whisker with a tick at its value, and a line at zero."""
    value, low, high = estimate.value, estimate.low, estimate.high
    parts = []
    if bounds[0] <= 0 <= bounds[1]:
        zero = _x(0.0, bounds)
        parts.append(_line(zero, 0, zero, BAR_HEIGHT, "zero"))
    parts.append(_whisker(low, high, bounds))
    if math.isfinite(value):
        x = _x(value, bounds)
        parts.append(_line(x, 3, x, 17, "dot"))
    return _bar("dots " + mark, parts)


def share_bar(fraction: float) -> str:
    """Draw a plain bar that fills ``fraction`` (0 to 1) of its box."""
    width = WIDTH * min(max(fraction, 0.0), 1.0)
    return _bar("share", [f'<rect class="fill" x="0" y="2" width="{width:.1f}" height="16"/>'])


def line_plot(series: Mapping[str, Sequence[tuple[float, float]]], bounds: Bounds) -> str:
    """Draw one polyline per series of (x, y); x spans all series, y spans ``bounds``.

    The i-th series gets the CSS class ``series-i``; a single point is drawn as a short dash.
    """
    xs = [x for points in series.values() for x, _ in points]
    left, right = (min(xs), max(xs)) if xs else (0.0, 1.0)
    parts = [_line(0, y, WIDTH, y, "grid") for y in (0, PLOT_HEIGHT / 2, PLOT_HEIGHT)]
    for index, points in enumerate(series.values()):
        placed = [
            (_scale(x, left, right, WIDTH), PLOT_HEIGHT - _scale(y, *bounds, PLOT_HEIGHT))
            for x, y in points
            if math.isfinite(y)
        ]
        if len(placed) == 1:
            placed.append((placed[0][0] + WIDTH / 50, placed[0][1]))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="series-{index}" points="{path}"/>')
    return _plot("plot", PLOT_HEIGHT, parts)


def reliability(
    curves: Sequence[Sequence[tuple[float, Estimate]]], shares: Sequence[Bounds]
) -> str:
    """Draw share right over confidence, both 0 to 1, with the diagonal of perfect calibration.

    Each curve is (mean confidence, share right) per bin; ``shares`` are (left edge, share of all
    answers) of the first curve's bins, drawn as faint columns. The i-th curve gets ``mark-i``.
    """
    parts = [_line(0, y, WIDTH, y, "grid") for y in (0, WIDTH / 2, WIDTH)]
    for (left, share), width in zip(shares, _widths(shares), strict=True):
        height = share * WIDTH
        parts.append(
            f'<rect class="weight" x="{left * WIDTH:.1f}" y="{WIDTH - height:.1f}" '
            f'width="{max(width * WIDTH - 4, 1):.1f}" height="{height:.1f}"/>'
        )
    parts.append(_line(0, WIDTH, WIDTH, 0, "zero"))
    for index, curve in enumerate(curves):
        for x, right in curve:
            parts += _upright(_scale(x, 0, 1, WIDTH), right, (0.0, 1.0), WIDTH, f"mark-{index}")
    return _plot("plot diagram", WIDTH, parts)


def scatter(
    groups: Sequence[tuple[Sequence[float], Estimate]], bounds: Bounds, level: float | None = None
) -> str:
    """Draw groups side by side: faint points, mean with interval; a dashed line at ``level``."""
    parts = [_line(0, y, WIDTH, y, "grid") for y in (0, PLOT_HEIGHT / 2, PLOT_HEIGHT)]
    if level is not None:
        y = PLOT_HEIGHT - _scale(level, *bounds, PLOT_HEIGHT)
        parts.append(_line(0, y, WIDTH, y, "zero"))
    step = WIDTH / max(len(groups), 1)
    for index, (values, mean) in enumerate(groups):
        centre = step * (index + 0.5)
        for place, value in enumerate(values):
            # Spread sideways in a fixed pattern, so that equal points stay apart.
            x = centre + step * 0.3 * ((place * 0.618) % 1 - 0.5) + step * 0.2
            y = PLOT_HEIGHT - _scale(value, *bounds, PLOT_HEIGHT)
            parts.append(_line(x, y, x, y, "point"))
        parts += _upright(centre - step * 0.1, mean, bounds, PLOT_HEIGHT, "mark-0")
    return _plot("plot", PLOT_HEIGHT, parts)


def heat_map(
    labels: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], title: str
) -> str:
    """Draw a confusion matrix: rows are what was expected, shaded by their share of the row.

    Rows and columns are numbered from 1. Only cells that are not zero are drawn, each with a
    tooltip, so that 77 classes stay light.
    """
    longest = min(max((len(label) for label in labels), default=0), LABEL_CHARS)
    cell = min(max(HEAT_WIDTH // max(len(columns), 1), SMALLEST_CELL), LARGEST_CELL)
    left, width, height = 6 * longest + 28, cell * len(columns), cell * len(labels)
    parts = [
        f"<title>{escape(title)}</title>",
        f'<rect class="field" x="{left}" y="{TOP}" width="{width}" height="{height}"/>',
    ]
    for j in range(0, len(columns), 1 if cell == LARGEST_CELL else 5):
        name = str(j + 1) if j < len(labels) else "–"
        parts.append(f'<text class="column" x="{left + cell * (j + 0.5)}" y="11">{name}</text>')
    for i, (label, row) in enumerate(zip(labels, counts, strict=True)):
        y = TOP + cell * i
        words = f"{escape(_short(label, LABEL_CHARS))} {i + 1}"
        parts.append(f'<text x="{left - 6}" y="{y + cell - 2}">{words}</text>')
        parts += _heat_row(label, columns, row, (left, y, cell))
    size = f'viewBox="0 0 {left + width} {TOP + height}" width="{left + width}"'
    inside = "".join(parts)
    return f'<svg class="heat" {size} height="{TOP + height}" role="img">{inside}</svg>'


def nice_bounds(
    values: Sequence[float], within: tuple[float | None, float | None] = (None, None)
) -> Bounds:
    """Return limits that hold all finite ``values`` with 5% of air; never of zero width.

    ``within`` is what the air must not cross, e.g. (0, None) for losses.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return (0.0, 1.0)
    low, high = min(finite), max(finite)
    air = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    floor, ceiling = within
    bottom = low - air if floor is None else max(low - air, floor)
    top = high + air if ceiling is None else min(high + air, ceiling)
    return (bottom, top)


def _heat_row(
    label: str, columns: Sequence[str], row: Sequence[int], place: tuple[int, int, int]
) -> list[str]:
    """Draw one row's cells; ``place`` is x and y of the first one, and the size of each."""
    x, y, cell = place
    total, cells = sum(row), []
    for j, count in enumerate(row):
        if not count:
            continue
        kind = "hit" if columns[j] == label else "miss"
        words = escape(f"expected {label}, got {columns[j]}: {count} of {total}")
        cells.append(
            f'<rect class="{kind}" x="{x + cell * j}" y="{y}" width="{cell - 1}" '
            f'height="{cell - 1}" fill-opacity="{0.2 + 0.8 * count / total:.2f}">'
            f"<title>{words}</title></rect>"
        )
    return cells


def _plot(css: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg class="{css}" viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" '
        f'aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def _widths(shares: Sequence[Bounds]) -> list[float]:
    """Widths of columns by their left edges; the last is as wide as the narrowest."""
    edges = [left for left, _ in shares]
    gaps = [b - a for a, b in pairwise(edges)]
    return [min(gaps, default=0.05)] * len(edges)


def _upright(x: float, one: Estimate, bounds: Bounds, height: float, css: str) -> list[str]:
    """An interval as an upright line, and a dot (a line without length) at its value."""
    if not math.isfinite(one.value):
        return []
    low, high, value = (
        height - _scale(end, *bounds, height) for end in (one.low, one.high, one.value)
    )
    drawn = [_line(x, low, x, high, css)] if math.isfinite(one.low) else []
    return [*drawn, _line(x, value, x, value, f"spot {css}")]


def _bar(css: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="{escape(css.strip())}" viewBox="0 0 {WIDTH} {BAR_HEIGHT}" '
        f'preserveAspectRatio="none" aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def _whisker(low: float, high: float, bounds: Bounds) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    left, right = _x(low, bounds), _x(high, bounds)
    lines = [(left, 10, right, 10), (left, 5, left, 15), (right, 5, right, 15)]
    return "".join(_line(*line, "whisker") for line in lines)


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}"/>'


def _x(value: float, bounds: Bounds) -> float:
    return _scale(value, *bounds, WIDTH)


def _scale(value: float, low: float, high: float, size: float) -> float:
    if high <= low:
        return size / 2
    return size * min(max((value - low) / (high - low), 0.0), 1.0)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
