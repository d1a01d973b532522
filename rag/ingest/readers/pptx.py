"""PPTX: slides as pages, each under its title, with tables, charts, diagrams and the speaker's notes."""

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pptx
from lxml import etree

from rag.ingest.readers.drawings import (
    CHART_REFERENCE,
    DIAGRAM_PART,
    DIAGRAM_REFERENCE,
    MAIN,
    RELATION,
    Element,
    chart_lines,
    diagram_lines,
    picture_description,
)
from rag.ingest.readers.equations import EQUATION, equation_text
from rag.ingest.readers.facts import one_line, sensible_property
from rag.ingest.readers.losses import counted, numbered
from rag.ingest.readers.office_package import read_package
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import header_names, row_line
from rag.records import Document

_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TITLES = ("title", "ctrTitle")
_SURROUNDINGS = ("dt", "ftr", "hdr", "sldNum", "sldImg")
_MAX_INDENTED_DEPTH = 8


def read_pptx(raw: RawFile) -> Iterator[Document]:
    """Read ``.pptx``. Slide N is page N; hidden slides are read too. Dates, footers and comments are left out.

    Raises:
        UnreadableDocument: the file is damaged, password-protected, or holds no text.
        LimitExceeded: the file, unpacked or not, or its text is too large.
    """
    presentation = pptx.Presentation(io.BytesIO(read_package(raw, kind="PPTX", old_ending=".ppt")))
    builder = TextBuilder(raw)
    lost: Counter[str] = Counter()
    textless = []
    for number, slide in enumerate(presentation.slides, 1):
        builder.end_headings()
        builder.start_page(number)
        blocks = _SlideBlocks(builder, slide.part, lost)
        blocks.add_slide(slide.element)
        if slide.has_notes_slide:
            blocks.add_notes(slide.notes_slide.element)
        if not blocks.has_text:
            textless.append(number)
    builder.lose(
        *numbered("Slide", textless, one="has no text", several="have no text"),
        *counted(lost["image"], "image without a description", "passed over"),
        *counted(lost["object"], "embedded object", "passed over"),
    )
    properties = presentation.core_properties
    yield builder.document(
        title=sensible_property(properties.title),
        media_type=_MEDIA_TYPE,
        metadata={
            "author": sensible_property(properties.author),
            "keywords": properties.keywords,
            "num_slides": len(presentation.slides),
        },
    )


class _SlideBlocks:
    """Hands what stands on one slide to the builder, in the order in which a screen reader reads it."""

    def __init__(self, builder: TextBuilder, part: Any, lost: Counter[str]) -> None:
        self._builder, self._part, self._lost = builder, part, lost
        self.has_text = False

    def add_slide(self, slide: Element) -> None:
        """Add the title, then all other shapes."""
        shapes = list(_shapes(slide.find(f"{_P}cSld/{_P}spTree")))
        titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
        for shape in titles:
            title = one_line(" ".join(text for text, _ in _paragraphs(shape)))
            self.has_text = self.has_text or bool(title)
            self._builder.heading(title, level=1)
        for shape in shapes:
            if _placeholder(shape) not in (*_TITLES, *_SURROUNDINGS):
                self._add_shape(shape)

    def add_notes(self, notes: Element) -> None:
        """Add what the speaker noted, marked as such."""
        for shape in _shapes(notes.find(f"{_P}cSld/{_P}spTree")):
            text = "\n".join(text for text, _ in _paragraphs(shape)).strip()
            if text and _placeholder(shape) == "body":
                self.has_text = True
                self._builder.paragraph(f"Notes: {text}")

    def _add_shape(self, shape: Element) -> None:
        self._builder.break_lines()
        if shape.tag == f"{_P}pic":
            description = picture_description(shape.find(f"{_P}nvPicPr/{_P}cNvPr").get("descr", ""))
            if description:
                self._add_line(description)
            else:
                self._lost["image"] += 1
        elif shape.tag == f"{_P}graphicFrame":
            self._add_frame(shape)
        else:
            for text, level in _paragraphs(shape):
                self._add_line(text, indent="  " * level)

    def _add_frame(self, frame: Element) -> None:
        table = next(frame.iter(f"{MAIN}tbl"), None)
        chart = next(frame.iter(CHART_REFERENCE), None)
        diagram = next(frame.iter(DIAGRAM_REFERENCE), None)
        if table is not None:
            lines = _table_lines(table)
        elif chart is not None:
            lines = chart_lines(self._related(chart.get(f"{RELATION}id")))
        elif diagram is not None:
            lines = diagram_lines(self._related(diagram.get(DIAGRAM_PART)))
        else:
            lines = []
            self._lost["object"] += 1
        for line in lines:
            self._add_line(line)

    def _add_line(self, text: str, *, indent: str = "") -> None:
        self.has_text = self.has_text or bool(text.strip())
        self._builder.line(text, indent=indent)

    def _related(self, relation_id: str) -> Element:
        return etree.fromstring(
            self._part.related_part(relation_id).blob, etree.XMLParser(resolve_entities=False, no_network=True)
        )


def _shapes(tree: Element | None) -> Iterator[Element]:
    """The shapes of a slide, those in groups one by one; of a shape in two forms, that for newer programs."""
    for child in [] if tree is None else tree:
        if child.tag in (f"{_P}sp", f"{_P}pic", f"{_P}graphicFrame"):
            yield child
        elif child.tag == f"{_P}grpSp":
            yield from _shapes(child)
        elif child.tag == f"{_MC}AlternateContent":
            yield from _shapes(child.find(f"{_MC}Choice"))


def _placeholder(shape: Element) -> str:
    """What kind of placeholder a shape is; ``obj`` for one of the general kind, empty if it is none."""
    found = next(shape.iter(f"{_P}ph"), None)
    return "" if found is None else str(found.get("type", "obj"))


def _paragraphs(shape: Element) -> list[tuple[str, int]]:
    """The paragraphs that hold text, with their levels from 0."""
    found = []
    for paragraph in shape.iterfind(f"{_P}txBody/{MAIN}p"):
        text = _text(paragraph)
        if text.strip():
            level = (
                str(paragraph.find(f"{MAIN}pPr").get("lvl", "0")) if paragraph.find(f"{MAIN}pPr") is not None else ""
            )
            found.append((text, min(int(level), _MAX_INDENTED_DEPTH) if level.isdecimal() else 0))
    return found


def _text(element: Element) -> str:
    if element.tag == f"{MAIN}t":
        return element.text or ""
    if element.tag == f"{MAIN}br":
        return "\n"
    if element.tag == EQUATION:
        return equation_text(element)
    return "".join(_text(child) for child in element if child.tag != f"{_MC}Fallback")


def _table_lines(table: Element) -> list[str]:
    """A line per row. A cell that spans rows is repeated in each; one that spans columns stands in the first."""
    rows: list[list[str]] = []
    for row in table.iterfind(f"{MAIN}tr"):
        cells: list[str] = []
        for cell in row.iterfind(f"{MAIN}tc"):
            above = rows[-1][len(cells)] if rows and len(cells) < len(rows[-1]) else ""
            text = " ".join(_text(paragraph) for paragraph in cell.iter(f"{MAIN}p"))
            continues = cell.get("vMerge") in ("1", "true")
            beside = cell.get("hMerge") in ("1", "true")
            cells.append(above if continues else "" if beside else text)
        rows.append(cells)
    if len(rows) < 2:
        return [row_line([], row) for row in rows]
    names = header_names(rows[0])
    return [row_line(names, row) for row in rows[1:]]
