"""Curves as SVG."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from rag.errors import InvalidInput
from rag.training.curve_plot import HEIGHT, WIDTH, _round_ticks, plot_svg

SVG = "{http://www.w3.org/2000/svg}"


def _plot(curves: dict[str, list[tuple[float, float]]], title: str = "A run") -> ElementTree.Element:
    return ElementTree.fromstring(plot_svg(curves, title=title, x_label="step", y_label="loss"))


def _places(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]  # type: ignore[misc]


def test_curves_rise_where_values_rise_and_stay_inside() -> None:
    root = _plot({"loss": [(10, 3.0), (20, 2.0), (40, 2.5)], "validation_loss": [(10, 2.9), (40, 2.2)]})
    first, second = (_places(line) for line in root.iter(f"{SVG}polyline"))
    assert len(first) == 3
    assert [x for x, _ in first] == sorted(x for x, _ in first)
    assert first[0][1] < first[2][1] < first[1][1]  # pixels are counted from the top
    assert first[0][0] == second[0][0]
    assert (first[2][0] - first[1][0]) == pytest.approx(2 * (first[1][0] - first[0][0]), abs=0.2)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in first + second)


def test_title_labels_ticks_and_legend_are_there() -> None:
    texts = [text.text for text in _plot({"loss": [(0, 1.0), (100, 2.0)], "other": [(50, 1.5)]}).iter(f"{SVG}text")]
    assert {"A run", "step", "loss", "other", "0", "20", "100", "1", "1.2", "2"} <= set(texts)


def test_each_curve_has_the_colour_of_its_legend() -> None:
    svg = plot_svg({"a": [(0, 1), (1, 2)], "b": [(0, 2), (1, 1)]}, title="t", x_label="x", y_label="y")
    colours = re.findall(r'<polyline[^>]*stroke="(#\w+)"', svg)
    assert colours == re.findall(r'<path d="M[\d.]+ 48h18" stroke="(#\w+)"', svg)
    assert len(set(colours)) == 2


def test_names_are_text_and_never_markup() -> None:
    nasty = '<script>alert("x")</script> & \x00\x1b'
    root = _plot({nasty: [(0, 1.0), (1, 2.0)]}, title=nasty)
    assert not list(root.iter(f"{SVG}script"))
    assert 'alert("x")' in "".join(root.itertext())


def test_file_refers_to_nothing_outside() -> None:
    svg = plot_svg({"a": [(0, 1), (1, 2)]}, title="t", x_label="x", y_label="y")
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert "href" not in svg


def test_single_point_is_a_dot() -> None:
    root = _plot({"loss": [(10, 3.0)]})
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert not list(root.iter(f"{SVG}polyline"))


@pytest.mark.parametrize(
    "values", [[0.0, 1.0], [2.31, 2.98], [-5.0, 1e-9], [1e-7, 3e-7], [99_950, 100_049], [4.0, 4.0], [0.1, 0.7]]
)
def test_ticks_are_few_round_and_around_the_values(values: list[float]) -> None:
    ticks = _round_ticks(values)
    slack = 1e-6 * (ticks[-1] - ticks[0])  # far less than a pixel
    assert ticks[0] <= min(values) + slack
    assert ticks[-1] >= max(values) - slack
    assert 3 <= len(ticks) <= 8
    steps = {f"{(b - a):.3e}" for a, b in zip(ticks, ticks[1:], strict=False)}
    assert len(steps) == 1
    assert steps.pop()[0] in "125"


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no point to plot"):
        _plot({"loss": []})
    with pytest.raises(InvalidInput, match="not a finite number"):
        _plot({"loss": [(0, float("nan"))]})
