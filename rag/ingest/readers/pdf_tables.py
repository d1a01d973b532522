"""Tables on the pages of a PDF, found by where their cells stand.

A PDF knows no tables, only words at places. Where the words of a page are laid out as in print, with spaces between
columns, a row of names over rows whose cells stand below them is a table.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rag.ingest.readers.tables import header_names, is_amount, row_line

_CELL = re.compile(r"\S+(?: \S+)*")
_AMOUNTS = re.compile(r"(?<!\S)[-+(]?[$€£]?\d[\d.,/:-]*[%)]?(?!\S)")
_MIN_COLUMNS = 3
_MAX_NAME_CHARS = 40
_NARROW_GAP = 2
_SHORT_LINE = 25
_MIN_TABULAR_LINES = 6


@dataclass(frozen=True, slots=True)
class _Cell:
    start: int
    end: int
    text: str


def may_hold_table(page: str) -> bool:
    """Whether many lines are as short as cells or hold several numbers: worth a look at how the page is laid out."""
    lines = page.split("\n")
    num_tabular = sum(len(line) < _SHORT_LINE or len(_AMOUNTS.findall(line)) > 1 for line in lines)
    return num_tabular >= _MIN_TABULAR_LINES


def table_blocks(plain: str, layout: str) -> list[tuple[bool, str]] | None:
    """The page from top to bottom, as (stands for itself, text); None if it has no table.

    Rows of tables and other lines with gaps in them stand for themselves; the others are lines of paragraphs.

    ``plain`` is the page's text as the PDF has it, ``layout`` as printed. None too if they differ in more than space.
    """
    if Counter("".join(plain.split())) != Counter("".join(layout.split())):
        return None
    lines = [_cells(line) for line in layout.split("\n")]
    has_table = any(_is_header(lines, i) for i in range(len(lines)))
    return list(_blocks(lines)) if has_table else None


def _cells(line: str) -> list[_Cell]:
    return [_Cell(match.start(), match.end(), match.group()) for match in _CELL.finditer(line)]


def _blocks(lines: list[list[_Cell]]) -> Iterator[tuple[bool, str]]:
    header: list[_Cell] = []
    row: list[str] = []  # the last one, held back as long as a line below may go on with it
    for i, cells in enumerate(lines):
        placed = _place(header, cells) if header and cells else None
        if row and placed is not None and len(cells) == 1 and _stands_below(header[1:], cells[0]):
            row = [" ".join(filter(None, pair)) for pair in zip(row, placed, strict=True)]
            continue
        if row and cells:
            yield True, row_line(_names(header), row)
            row = []
        if _is_header(lines, i):
            header = cells
        elif placed is not None and len(cells) > 1:
            row = placed
        elif not row:
            header = header if not cells or _goes_on(header, lines[i + 1 :]) else []
            yield len(cells) > 1, _pairs(cells)
    if row:
        yield True, row_line(_names(header), row)


def _is_header(lines: list[list[_Cell]], i: int) -> bool:
    """Whether these are the names of columns: words under a title or an empty line, with numbers under them.

    In forms, names and values stand in turn, so that words stand over words, and lines of several cells above them.
    """
    cells, above = lines[i], lines[i - 1] if i else []
    if len(cells) < _MIN_COLUMNS or len(above) > 1 or not all(map(_is_name, cells)):
        return False
    first = next(filter(None, lines[i + 1 :]), [])
    placed = _place(cells, first)
    return placed is not None and len(first) > 1 and any(map(is_amount, placed[1:]))


def _is_name(cell: _Cell) -> bool:
    return len(cell.text) <= _MAX_NAME_CHARS and not is_amount(cell.text) and not cell.text.endswith((":", ".", ","))


def _goes_on(header: list[_Cell], below: list[list[_Cell]]) -> bool:
    """Whether the table goes on below a line that is no row of it, as a heading between rows or a remark."""
    following = next(filter(None, below), [])
    is_wide_enough = len(following) > 1 and len(following) * 2 >= len(header)
    return bool(header) and is_wide_enough and _place(header, following) is not None


def _place(header: list[_Cell], cells: list[_Cell]) -> list[str] | None:
    """The cells by column, the first being what stands left of all names; None if two fall into one column."""
    placed = [""] * (len(header) + 1)
    for cell in cells:
        if cell.end <= header[0].start:
            column = 0
        else:
            column = 1 + max(range(len(header)), key=lambda i: _nearness(header[i], cell))
        if placed[column]:
            return None
        placed[column] = cell.text
    return placed


def _stands_below(names: list[_Cell], cell: _Cell) -> bool:
    return any(abs(name.start - cell.start) <= 1 for name in names)


def _nearness(name: _Cell, cell: _Cell) -> int:
    """How far two cells overlap across the page; negative: how far they stand apart."""
    return min(name.end, cell.end) - max(name.start, cell.start)


def _names(header: list[_Cell]) -> list[str]:
    return ["", *header_names([cell.text for cell in header])]


def _pairs(cells: list[_Cell]) -> str:
    """A line outside of tables: a name with a colon is joined with what follows it, and so is prose with a wide gap."""
    parts: list[str] = []
    for before, cell in zip([None, *cells], cells, strict=False):
        is_prose = before is not None and len(before.text) > _MAX_NAME_CHARS and cell.start - before.end == _NARROW_GAP
        if parts and (parts[-1].endswith(":") or is_prose):
            parts[-1] = f"{parts[-1]} {cell.text}"
        else:
            parts.append(cell.text)
    return "; ".join(parts)
