"""Lines as SVG, whose colours a page sets for its light and its dark form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from isthmus.training.figures.metrics_shown import is_drawn, is_logarithmic

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 34  # margins
MOST_POINTS = 400  # of a line
SMALLEST = 1e-300  # difference that is drawn: parts of smaller ones may be zero
TICKS, MOST_TICKS = 5, 8  # of an axis: about, and at most on a logarithmic one


class Line(NamedTuple):
    """A line; points that are not drawn are left out: see `metrics_shown.is_drawn`.

    Attributes:
        name: also the CSS class of the line.
        x, y: its points.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart(title: str, lines: Sequence[Line], *, x_label: str, marked: float | None = None) -> Markup:
    """The SVG.

    Args:
        title: what is drawn, for those who cannot see it.
        lines: with at least one point.
        x_label: of the axis; its values are whole numbers.
        marked: where a vertical line is drawn.
    """
    logarithmic = is_logarithmic(y for line in lines for y in line.y)
    drawn = [(line.name, _thinned(_points(line, logarithmic))) for line in lines]
    x_low, x_high = _limits([x for _, points in drawn for x, _ in points])
    y_low, y_high = _limits([y for _, points in drawn for _, y in points], margin=0.05)

    def across(x: float) -> float:
        return LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return TOP + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for y in _powers(y_low, y_high) if logarithmic else _ticks(y_low, y_high):
        label = f"{10**y if logarithmic else y:.3g}"
        parts.append(_rule("grid", LEFT, down(y), WIDTH - RIGHT, down(y)))
        parts.append(_text(label, LEFT - 6, down(y) + 3.5, "end"))
    for x in _ticks(x_low, x_high):
        if x == int(x):
            parts.append(_text(f"{x:.6g}", across(x), HEIGHT - BOTTOM + 15, "middle"))
    parts.append(_text(x_label, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "middle"))
    parts.append(_rule("axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM))
    if marked is not None and x_low <= marked <= x_high:
        parts.append(_rule("mark", across(marked), TOP, across(marked), HEIGHT - BOTTOM))
    for name, points in drawn:
        places = [f"{across(x):.1f},{down(y):.1f}" for x, y in points]
        kind = escape(name)
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(places)))
        if len(points) == 1:
            (x, y), dot = points[0], Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>')
            parts.append(dot.format(kind, across(x), down(y)))
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)
    return head + Markup("").join(parts) + Markup("</svg>")


def _points(line: Line, logarithmic: bool) -> list[tuple[float, float]]:
    finite = [(x, y) for x, y in zip(line.x, line.y, strict=True) if is_drawn(y)]
    return [(x, math.log10(y)) for x, y in finite] if logarithmic else finite


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lowest and the highest point of each of as many pieces as there may be, and the last point."""
    if len(points) <= MOST_POINTS:
        return points
    length = math.ceil(len(points) / (MOST_POINTS // 2))
    kept = {len(points) - 1}
    for start in range(0, len(points), length):
        piece = range(start, min(start + length, len(points)))
        kept |= {pick(piece, key=lambda at: points[at][1]) for pick in (min, max)}
    return [points[at] for at in sorted(kept)]


def _limits(values: Sequence[float], margin: float = 0.0) -> tuple[float, float]:
    """Lowest and highest value with a margin; never equal."""
    low, high = min(values), max(values)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), SMALLEST):
        room = abs(low) / 2 if abs(low) > SMALLEST else 0.5
        return low - room, high + room
    return low - margin * (high - low), high + margin * (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough * 0.999)
    first = math.ceil(low / step)
    return [each * step for each in range(first, math.floor(high / step) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2 and 5, of 1 and 3, or of 1 times the powers of ten: as many as there is room for."""
    for factors in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(low), math.ceil(high) + 1)
        every = [power + math.log10(factor) for power in powers for factor in factors]
        ticks = [tick for tick in every if low <= tick <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return ticks[:: math.ceil(len(ticks) / MOST_TICKS)]


def _rule(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    rule = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    return rule.format(kind, x1, y1, x2, y2)


def _text(text: str, x: float, y: float, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)
