"""What a DOCX file's paragraphs are (ECMA-376, part 1): headings, list items with their numbers, tables of contents."""

import re
from dataclasses import dataclass

from docx.oxml.ns import qn

from rag.ingest.readers.docx_xml import value
from rag.ingest.readers.drawings import Element

_HEADING_NAME = re.compile(r"heading ([1-9])", re.IGNORECASE)
_CONTENTS_NAME = re.compile(r"toc \d", re.IGNORECASE)
_BODY_TEXT_LEVEL = 9
_MAX_BASES = 20
_MAX_INDENTED_DEPTH = 8


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    base: str
    outline_level: str
    list_id: str
    list_level: str


class Styles:
    """The paragraph styles of a document, from its ``styles.xml``."""

    def __init__(self, root: Element | None) -> None:
        self._styles: dict[str, _Style] = {}
        for style in [] if root is None else root.iterfind(qn("w:style")):
            self._styles[str(style.get(qn("w:styleId"), ""))] = _Style(
                name=value(style, "w:name"),
                base=value(style, "w:basedOn"),
                outline_level=value(style, "w:pPr", "w:outlineLvl"),
                list_id=value(style, "w:pPr", "w:numPr", "w:numId"),
                list_level=value(style, "w:pPr", "w:numPr", "w:ilvl"),
            )

    def heading_level(self, paragraph: Element) -> int | None:
        """1 for the outermost heading, 0 for the document's title, None for what is no heading."""
        own_level = value(paragraph, "w:pPr", "w:outlineLvl")
        if own_level.isdecimal():
            return _to_heading_level(own_level)
        for style in self._chain(paragraph):
            heading = _HEADING_NAME.fullmatch(style.name)
            if heading:
                return int(heading[1])
            if style.name.lower() == "title":
                return 0
            if style.outline_level.isdecimal():
                return _to_heading_level(style.outline_level)
        return None

    def is_contents_entry(self, paragraph: Element) -> bool:
        """Whether the paragraph is a line of the table of contents."""
        return any(_CONTENTS_NAME.fullmatch(style.name) for style in self._chain(paragraph))

    def list_place(self, paragraph: Element) -> tuple[str, int] | None:
        """The id of the list that the paragraph is an item of, and its level from 0; None if it is no item."""
        list_id = value(paragraph, "w:pPr", "w:numPr", "w:numId")
        level = value(paragraph, "w:pPr", "w:numPr", "w:ilvl")
        for style in self._chain(paragraph):
            list_id = list_id or style.list_id
            level = level or style.list_level
        if list_id in ("", "0"):  # 0 takes a paragraph out of its style's list
            return None
        return list_id, min(int(level), _MAX_INDENTED_DEPTH) if level.isdecimal() else 0

    def _chain(self, paragraph: Element) -> list[_Style]:
        """The paragraph's style and those that it is based on, nearest first."""
        chain: list[_Style] = []
        style_id = value(paragraph, "w:pPr", "w:pStyle")
        while style_id in self._styles and len(chain) < _MAX_BASES:
            chain.append(self._styles[style_id])
            style_id = chain[-1].base
        return chain


class ListNumbers:
    """Counts the items of lists as Word shows them, from ``numbering.xml``."""

    def __init__(self, root: Element | None) -> None:
        self._formats: dict[tuple[str, int], tuple[str, int]] = {}
        self._counts: dict[str, list[int]] = {}
        if root is None:
            return
        abstract = {str(element.get(qn("w:abstractNumId"))): element for element in root.iterfind(qn("w:abstractNum"))}
        for number in root.iterfind(qn("w:num")):
            definition = abstract.get(value(number, "w:abstractNumId"))
            for level in [] if definition is None else definition.iterfind(qn("w:lvl")):
                key = (str(number.get(qn("w:numId"))), _to_int(str(level.get(qn("w:ilvl"))), 0))
                self._formats[key] = (value(level, "w:numFmt"), _to_int(value(level, "w:start"), 1))

    def next_marker(self, list_id: str, level: int) -> str:
        """What stands before the next item of this list at this level: ``-`` or its number or letter."""
        number_format, start = self._formats.get((list_id, level), ("bullet", 1))
        counts = self._counts.setdefault(list_id, [])
        del counts[level + 1 :]
        while len(counts) < level:
            counts.append(self._formats.get((list_id, len(counts)), ("", 1))[1])
        if len(counts) == level:
            counts.append(start)
        else:
            counts[level] += 1
        if number_format in ("bullet", "none", ""):
            return "- "
        if number_format in ("lowerLetter", "upperLetter"):
            letter = chr(ord("a") + (counts[level] - 1) % 26)
            return f"{letter if number_format == 'lowerLetter' else letter.upper()}. "
        return f"{counts[level]}. "


def _to_heading_level(outline_level: str) -> int | None:
    level = _to_int(outline_level, _BODY_TEXT_LEVEL)
    return level + 1 if level < _BODY_TEXT_LEVEL else None


def _to_int(number: str, default: int) -> int:
    return int(number) if number.isdecimal() and len(number) < 10 else default
