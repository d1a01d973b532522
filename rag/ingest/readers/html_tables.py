"""HTML tables as lines; cells that span rows or columns keep the rows under the right column names."""

from collections.abc import Iterator

from bs4 import Tag

from rag.ingest.readers.html_walk import FlatText, walk
from rag.ingest.readers.tables import header_names, row_line

# The HTML standard's limit for the columns of a cell; it allows more rows, but no such table is real.
_MAX_SPAN = 1_000


def table_lines(table: Tag) -> Iterator[str]:
    """A line for each row, with the column names if the table begins with header rows.

    Without any, a row of one header cell and others reads ``Header: cell; cell``.
    """
    caption = table.find("caption")
    if caption:
        yield _flat_text(caption)
    headers: list[str] = []
    in_head = has_rows = False
    carried: dict[int, tuple[int, str]] = {}
    for number, row in enumerate(table.find_all("tr")):
        tags = row.find_all(["td", "th"], recursive=False)
        in_head = (in_head or number == 0) and _is_header(row, tags)
        cells = _place(tags, carried, repeats=in_head)
        if in_head and (headers or len(tags) > 1):
            headers = _merge_headers(headers, header_names(cells))
        elif not headers and len(tags) > 1 and tags[0].name == "th":
            yield row_line(header_names(cells[:1]), ["; ".join(filter(None, cells[1:]))])
        else:
            yield row_line(headers, cells)
        has_rows = has_rows or not in_head
    if not has_rows:
        yield row_line([], headers)


def _is_header(row: Tag, tags: list[Tag]) -> bool:
    is_in_thead = row.parent is not None and row.parent.name == "thead"
    return is_in_thead or (bool(tags) and all(tag.name == "th" for tag in tags))


def _place(tags: list[Tag], carried: dict[int, tuple[int, str]], *, repeats: bool) -> list[str]:
    """The row's cells by column. ``carried`` holds what spans down from above; it is brought up to date.

    A cell that spans columns is repeated in all of them if ``repeats``, else it stands in the first alone.
    """
    cells: list[str] = []
    for tag in tags:
        _take_carried(cells, carried)
        text = _flat_text(tag)
        num_rows = _span(tag, "rowspan")
        for i in range(min(_span(tag, "colspan"), max(_MAX_SPAN - len(cells), 1))):
            cell = text if repeats or i == 0 else ""
            if num_rows > 1:
                carried[len(cells)] = (num_rows - 1, cell)
            cells.append(cell)
    _take_carried(cells, carried)
    return cells


def _flat_text(tag: Tag) -> str:
    visitor = FlatText()
    walk(tag, visitor)
    return str(visitor)


def _take_carried(cells: list[str], carried: dict[int, tuple[int, str]]) -> None:
    while (column := len(cells)) in carried:
        num_left, text = carried.pop(column)
        if num_left > 1:
            carried[column] = (num_left - 1, text)
        cells.append(text)


def _span(tag: Tag, name: str) -> int:
    value = str(tag.get(name, "1")).strip()
    return min(max(int(value), 1), _MAX_SPAN) if value.isdecimal() and len(value) < 10 else 1


def _merge_headers(above: list[str], below: list[str]) -> list[str]:
    """The names of two header rows, one under the other: ``Sales`` over ``2023`` is ``Sales 2023``."""
    width = max(len(above), len(below))
    pairs = zip(above + [""] * (width - len(above)), below + [""] * (width - len(below)), strict=True)
    return [" ".join(dict.fromkeys(filter(None, pair))) for pair in pairs]
