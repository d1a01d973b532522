"""The reliability diagram (Guo et al., 2017) as a self-contained SVG: share of right answers over confidence."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SIZE = 360
LEFT, TOP = 56, 44
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_svg(bins: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Draw the bins that ``rag evaluate qa`` reports; a bar's width of ink tells how many answers it stands for."""
    most = max((one["num"] for one in bins), default=1)
    bars = "\n".join(_bar(one, most) for one in bins)
    lines = "\n".join(_tick(value) for value in TICKS)
    width, height = LEFT + SIZE + 24, TOP + SIZE + 52
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"
  font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{escape(title)}">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{LEFT}" y="22" font-size="14" fill="#222222">{escape(title)}</text>
{lines}
{bars}
<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#666666" stroke-dasharray="5 4"/>
<rect x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}" fill="none" stroke="#222222"/>
<text x="{LEFT + SIZE / 2:.0f}" y="{height - 12}" text-anchor="middle" fill="#222222">confidence</text>
<text transform="translate(16 {TOP + SIZE / 2:.0f}) rotate(-90)" text-anchor="middle" fill="#222222">share right</text>
</svg>
"""


def _bar(one: Mapping[str, Any], most: int) -> str:
    x, right = _x(one["low"]) + 1, _x(one["high"]) - 1
    y = _y(one["share_right"])
    opacity = 0.25 + 0.65 * one["num"] / most
    label = f"{one['num']} answers, confidence {one['mean_confidence']:.2f}, right {one['share_right']:.2f}"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{right - x:.1f}" height="{_y(0) - y:.1f}" fill="#2b6cb0" '
        f'fill-opacity="{opacity:.2f}"><title>{label}</title></rect>'
        f'<text x="{(x + right) / 2:.1f}" y="{max(y - 4, TOP + 11):.1f}" text-anchor="middle" font-size="9" '
        f'fill="#222222">{one["num"]}</text>'
        f'<circle cx="{_x(one["mean_confidence"]):.1f}" cy="{y:.1f}" r="3" fill="#c05621"/>'
    )


def _tick(value: float) -> str:
    x, y = _x(value), _y(value)
    return (
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + SIZE}" y2="{y:.1f}" stroke="#e2e2e2"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#222222">{value:.1f}</text>'
        f'<text x="{x:.1f}" y="{TOP + SIZE + 18}" text-anchor="middle" fill="#222222">{value:.1f}</text>'
    )


def _x(value: float) -> float:
    return LEFT + SIZE * value


def _y(value: float) -> float:
    return TOP + SIZE * (1 - value)
