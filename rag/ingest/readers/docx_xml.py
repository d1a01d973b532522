"""The text of a DOCX file's body (ECMA-376, part 1): its paragraphs, text boxes and tables.

python-docx gives the parts of the file; its own paragraphs pass over content controls, insertions and text boxes.
"""

from collections.abc import Iterator

from docx.oxml.ns import qn

from rag.ingest.readers.drawings import Element, picture_description
from rag.ingest.readers.equations import EQUATION, equation_text

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_AS_CHARACTER = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
# Deleted and moved-away text, and what the file repeats for programs that cannot show the newer form.
_NOT_SHOWN = frozenset((qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr"), _MC + "Fallback"))
_BLOCKS = frozenset((qn("w:p"), qn("w:tbl")))
_PICTURE = qn("pic:pic")
_OLD_PICTURE = "{urn:schemas-microsoft-com:vml}imagedata"
_MAX_SPAN = 63  # Word's own limit for columns


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
        if child.tag == qn("w:t"):
            parts.append(child.text or "")
        elif child.tag == EQUATION:
            parts.append(equation_text(child))
        elif child.tag in _AS_CHARACTER:
            parts.append(_AS_CHARACTER[child.tag])
        elif child.tag == qn("w:txbxContent"):
            boxes.append(child)
        elif child.tag == qn("w:drawing") and (description := _description(child)):
            parts.append(f" {description} ")
        elif child.tag not in _NOT_SHOWN:
            _gather(child, parts, boxes)


def drawings(parent: Element) -> Iterator[Element]:
    """The drawings of a paragraph or a body: pictures, charts, diagrams, shapes."""
    for child in parent:
        if child.tag in (qn("w:drawing"), qn("w:pict")):
            yield child
        elif child.tag not in _NOT_SHOWN:
            yield from drawings(child)


def num_undescribed_pictures(body: Element) -> int:
    """How many pictures there are of which the file does not say in words what they show."""
    return sum(
        next(drawing.iter(_PICTURE, _OLD_PICTURE), None) is not None and not _description(drawing)
        for drawing in drawings(body)
    )


def _description(drawing: Element) -> str:
    if next(drawing.iter(_PICTURE), None) is None:
        return ""
    return picture_description(next((str(e.get("descr", "")) for e in drawing.iter(qn("wp:docPr"))), ""))


def table_rows(table: Element) -> list[list[str]]:
    """The cells' texts. A cell that spans rows is repeated in each; one that spans columns stands in the first."""
    rows: list[list[str]] = []
    for row in _children(table, qn("w:tr")):
        cells: list[str] = []
        for cell in _children(row, qn("w:tc")):
            merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
            above = rows[-1][len(cells)] if rows and len(cells) < len(rows[-1]) else ""
            continues = merge is not None and merge.get(qn("w:val"), "continue") == "continue"
            cells.append(above if continues else _flat_text(cell))
            span = value(cell, "w:tcPr", "w:gridSpan")
            num_columns = min(int(span), _MAX_SPAN) if span.isdecimal() else 1
            cells.extend([""] * (num_columns - 1))
        rows.append(cells)
    return rows


def table_cells(table: Element) -> Iterator[Element]:
    """The cells as elements, in reading order."""
    for row in _children(table, qn("w:tr")):
        yield from _children(row, qn("w:tc"))


def is_data_table(table: Element) -> bool:
    """False for a table that only arranges a page: it has one row or column, or holds another table."""
    rows = [list(_children(row, qn("w:tc"))) for row in _children(table, qn("w:tr"))]
    is_nesting = next(table.iterdescendants(qn("w:tbl")), None) is not None
    return len(rows) > 1 and max(map(len, rows)) > 1 and not is_nesting


def value(element: Element, *path: str) -> str:
    """The ``w:val`` of the element at ``path``; empty if there is none."""
    found = element.find("/".join(qn(step) for step in path))
    return "" if found is None else str(found.get(qn("w:val"), ""))


def _children(parent: Element, tag: str) -> Iterator[Element]:
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag not in _BLOCKS and child.tag not in _NOT_SHOWN:
            yield from _children(child, tag)


def _flat_text(parent: Element) -> str:
    parts: list[str] = []
    for block in blocks(parent):
        if block.tag == qn("w:tbl"):
            parts.extend(map(_flat_text, table_cells(block)))
        else:
            text, boxes = paragraph_text(block)
            parts.extend((text, *map(_flat_text, boxes)))
    return " ".join(filter(None, parts))
