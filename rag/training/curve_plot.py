"""Curves as a self-contained SVG file (SVG 1.1): one panel, axes with round ticks, a legend.

Colours are of middle lightness, so that the picture can be read on white and on black alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rag.errors import InvalidInput

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 800, 450
LEFT, RIGHT, TOP, BOTTOM = 80, 24, 72, 56
INK, GRID = "#808080", "#80808040"
COLOURS = ("#3b82f6", "#e07b28", "#2a9d6f", "#c2549d", "#8b6fd6", "#b5942b", "#d95555", "#3aa3b5")
NUM_TICKS = 5


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values between two round ends, and where they lie in the picture, in pixels."""

    ticks: tuple[float, ...]
    start: float
    end: float

    def place(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def plot_svg(curves: Mapping[str, Points], *, title: str, x_label: str, y_label: str) -> str:
    """Draw curves of (x, y) points, each with its name in the legend.

    Raises:
        InvalidInput: there is no point to draw, or one is not a finite number.
    """
    points = [point for curve in curves.values() for point in curve]
    if not points:
        raise InvalidInput("There is no point to plot yet.")
    if not all(math.isfinite(x) and math.isfinite(y) for x, y in points):
        raise InvalidInput("A point to plot is not a finite number.")
    x_axis = _Axis(_round_ticks([x for x, _ in points]), LEFT, WIDTH - RIGHT)
    y_axis = _Axis(_round_ticks([y for _, y in points]), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="sans-serif" font-size="13" fill="{INK}">',
        f"<title>{_text(title)}</title>",
        f'<text x="{LEFT}" y="24" font-size="16">{_text(title)}</text>',
        *_grid(x_axis, y_axis),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 14}" text-anchor="middle">{_text(x_label)}</text>',
        f'<text transform="translate(20 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{_text(y_label)}</text>",
    ]
    legend_x = float(LEFT)
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts += _curve(curve, x_axis, y_axis, colour=colour)
        parts.append(f'<path d="M{legend_x:g} 48h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{legend_x + 24:g}" y="52">{_text(name)}</text>')
        legend_x += 48 + 7.5 * len(name)  # about what a letter takes
    return "\n".join([*parts, "</svg>"]) + "\n"


def _round_ticks(values: Sequence[float]) -> tuple[float, ...]:
    """About ``NUM_TICKS`` round numbers around the values: multiples of 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(number * step for number in range(first, last + 1))


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[str]:
    parts = []
    for value in x_axis.ticks:
        x = x_axis.place(value)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{value:.6g}</text>')
    for value in y_axis.ticks:
        y = y_axis.place(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    axes = f"M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"
    return [*parts, f'<path d="{axes}" fill="none" stroke="{INK}"/>']


def _curve(curve: Points, x_axis: _Axis, y_axis: _Axis, *, colour: str) -> list[str]:
    """A line; of a single point a dot, since a line of it would not be seen."""
    places = [(x_axis.place(x), y_axis.place(y)) for x, y in curve]
    if len(places) == 1:
        return [f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{colour}"/>']
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>']


def _text(value: str) -> str:
    """Text as XML can hold it: escaped, and without the control characters that XML 1.0 forbids."""
    return escape("".join(c if c >= " " and c not in "\x7f\ufffe\uffff" else "\ufffd" for c in value))
