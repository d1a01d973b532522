"""What a DOCX file's XML says (ECMA-376, part 1): text of paragraphs, heading levels, list numbers, table rows.

python-docx gives the parts of the file; its own paragraphs pass over content controls, insertions and text boxes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from docx.oxml.ns import qn

# lxml comes without types, and with it the elements of python-docx.
Element = Any

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_TEXT = frozenset((qn("w:t"), _MATH_TEXT))
_AS_CHARACTER = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
# Deleted and moved-away text, and what the file repeats for programs that cannot show the newer form.
_NOT_SHOWN = frozenset((qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr"), _MC + "Fallback"))
_BLOCKS = frozenset((qn("w:p"), qn("w:tbl")))
_HEADING_NAME = re.compile(r"heading (\d)", re.IGNORECASE)
_MAX_SPAN = 63  # Word's own limit for columns
_MAX_STYLE_DEPTH = 20


def blocks(parent: Element) -> Iterator[Element]:
    """The paragraphs and tables of a body, a cell or a text box, those within content controls included."""
    for child in parent:
        if child.tag in _BLOCKS:
            yield child
        elif child.tag not in _NOT_SHOWN:
            yield from blocks(child)


def paragraph_text(paragraph: Element) -> tuple[str, list[Element]]:
    """The text that a paragraph shows, and the text boxes that hang on it."""
    parts: list[str] = []
    boxes: list[Element] = []
    _gather(paragraph, parts, boxes)
    return "".join(parts), boxes


def _gather(element: Element, parts: list[str], boxes: list[Element]) -> None:
    for child in element:
        if child.tag in _TEXT:
            parts.append(child.text or "")
        elif child.tag in _AS_CHARACTER:
            parts.append(_AS_CHARACTER[child.tag])
        elif child.tag == qn("w:txbxContent"):
            boxes.append(child)
        elif child.tag not in _NOT_SHOWN:
            _gather(child, parts, boxes)


def table_rows(table: Element) -> list[list[str]]:
    """The cells' texts. A cell that spans rows is repeated in each; one that spans columns stands in the first."""
    rows: list[list[str]] = []
    for row in _children(table, qn("w:tr")):
        cells: list[str] = []
        for cell in _children(row, qn("w:tc")):
            merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
            above = rows[-1][len(cells)] if rows and len(cells) < len(rows[-1]) else ""
            continues = merge is not None and merge.get(qn("w:val"), "continue") == "continue"
            cells.append(above if continues else _cell_text(cell))
            span = _value(cell, "w:tcPr", "w:gridSpan")
            num_columns = min(int(span), _MAX_SPAN) if span.isdecimal() else 1
            cells.extend([""] * (num_columns - 1))
        rows.append(cells)
    return rows


def table_cells(table: Element) -> Iterator[Element]:
    """The cells as elements, in reading order."""
    for row in _children(table, qn("w:tr")):
        yield from _children(row, qn("w:tc"))


def is_data_table(table: Element, styles: "Styles") -> bool:
    """False for a table that only arranges a page: one row or column, another table or a heading within."""
    rows = [list(_children(row, qn("w:tc"))) for row in _children(table, qn("w:tr"))]
    if len(rows) < 2 or max(map(len, rows)) < 2 or next(table.iterdescendants(qn("w:tbl")), None) is not None:
        return False
    return all(styles.heading_level(paragraph) is None for paragraph in table.iterdescendants(qn("w:p")))


def _children(parent: Element, tag: str) -> Iterator[Element]:
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag not in _BLOCKS and child.tag not in _NOT_SHOWN:
            yield from _children(child, tag)


def _cell_text(cell: Element) -> str:
    return " ".join(paragraph_text(paragraph)[0] for paragraph in cell.iterdescendants(qn("w:p")))


def _value(element: Element, *path: str) -> str:
    found = element.find("/".join(qn(step) for step in path))
    return "" if found is None else str(found.get(qn("w:val"), ""))
