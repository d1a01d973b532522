"""What Office files draw (DrawingML, ECMA-376, part 1): the words and numbers of charts and diagrams, and pictures.

Charts and diagrams are parts of their own in the package, and the same in documents and presentations.
"""

import re
from typing import Any

from rag.ingest.readers.facts import one_line, plain_number
from rag.ingest.readers.tables import header_names, row_line

# lxml comes without types, and with it the elements of python-docx and python-pptx.
Element = Any

MAIN = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
CHART_REFERENCE = f"{_CHART}chart"
DIAGRAM_REFERENCE = f"{_DIAGRAM}relIds"
DIAGRAM_PART = f"{RELATION}dm"
_UNSEEN_POINTS = ("pres", "parTrans", "sibTrans")  # how a diagram is laid out, not what it says
_FILE_NAME = re.compile(r"\S+\.(png|jpe?g|gif|bmp|svg|emf|wmf|tiff?|webp|heic)", re.IGNORECASE)
_MADE_BY_PROGRAM = re.compile(r"\s*(AI-generated content may be incorrect|description automatically generated).*", re.I)


def picture_description(alternative_text: str) -> str:
    """What a picture shows, as its author says; empty if that is the name of its file or nothing."""
    text = _MADE_BY_PROGRAM.sub("", one_line(alternative_text)).strip()
    return "" if _FILE_NAME.fullmatch(text) else text


def chart_lines(root: Element) -> list[str]:
    """The title of a chart and a line for each category, ``Q1; Sales: 4.3``; the axes and the look are left out."""
    title = root.find(f".//{_CHART}title")
    lines = [] if title is None else [_text(title)]
    series = list(root.iter(f"{_CHART}ser"))
    names = [_first_value(one.find(f"{_CHART}tx")) for one in series]
    values = [_points(one, "val", "yVal", "bubbleSize") for one in series]
    categories: dict[int, str] = {}
    for one in series:
        categories = _points(one, "cat", "xVal") | categories
    for index in sorted(set(categories).union(*values)):
        cells = [categories.get(index, ""), *(points.get(index, "") for points in values)]
        lines.append(row_line(["", *header_names(names)], cells))
    return [line for line in lines if line]


def diagram_lines(root: Element) -> list[str]:
    """The words of a SmartArt diagram, one line for each of its points."""
    points = root.iter(f"{_DIAGRAM}pt")
    texts = [_text(point) for point in points if point.get("type") not in _UNSEEN_POINTS]
    return [text for text in texts if text]


def _text(element: Element) -> str:
    paragraphs = element.iter(f"{MAIN}p")
    return one_line(" ".join("".join(run.text or "" for run in p.iter(f"{MAIN}t")) for p in paragraphs))


def _first_value(element: Element | None) -> str:
    value = None if element is None else next(element.iter(f"{_CHART}v"), None)
    return "" if value is None else one_line(value.text or "")


def _points(series: Element, *names: str) -> dict[int, str]:
    """The values of a series by their index, from the first of these elements that it has."""
    found = next((e for name in names if (e := series.find(f"{_CHART}{name}")) is not None), None)
    points: dict[int, str] = {}
    for point in [] if found is None else found.iter(f"{_CHART}pt"):
        index = str(point.get("idx", ""))
        if index.isdecimal():
            points.setdefault(int(index), _plain(_first_value(point)))
    return points


def _plain(value: str) -> str:
    try:
        return plain_number(float(value))
    except ValueError:
        return value
