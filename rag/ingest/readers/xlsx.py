"""XLSX: each sheet under its name, a section for each row that repeats the column names."""

import io
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain, groupby, islice

import openpyxl

from rag.errors import UnreadableDocument
from rag.ingest.readers.facts import one_line, plain_number, sensible_property, title_from_name
from rag.ingest.readers.losses import counted, listed
from rag.ingest.readers.office_package import read_package
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import header_names, is_amount, row_line
from rag.ingest.readers.xlsx_xml import MAX_ROWS, SheetFacts, sheet_facts
from rag.records import Document

_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MACRO_MEDIA_TYPE = "application/vnd.ms-excel.sheet.macroEnabled.12"
_NUM_SAMPLE_ROWS = 20
# A row that fills less of the table's width stands above it as a title, or below it as a note.
_HEADER_SHARE = 0.6
_YEARS = range(1900, 2101)
_MAX_TITLE_CHARS = 120


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that holds anything. ``block`` counts the stretches of rows that empty ones set apart."""

    number: int
    block: int
    values: list[object]

    @property
    def cells(self) -> list[str]:
        return [_plain(value) for value in self.values]

    @property
    def num_filled(self) -> int:
        return sum(value is not None for value in self.values)

    @property
    def first_text(self) -> str:
        return next((one_line(value) for value in self.values if isinstance(value, str)), "")


def read_xlsx(raw: RawFile) -> Iterator[Document]:
    """Read ``.xlsx`` or ``.xlsm``: the values that the cells show, not their formulas. Rows bear the sheet's numbers.

    The column names are in the first row that is as wide as the table and holds words only, below any title. Hidden
    sheets are left out, rows that a filter hides are not.

    Raises:
        UnreadableDocument: the file is damaged, password-protected, or holds nothing.
        LimitExceeded: the file, unpacked or not, or its text is too large.
    """
    # It warns of each kind of formatting that it drops; all that is wanted here are the cells.
    warnings.filterwarnings("ignore", module=r"openpyxl\.")
    data = read_package(raw, kind="XLSX", old_ending=".xls")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        facts = sheet_facts(archive)
        num_images = sum(name.startswith("xl/media/") for name in archive.namelist())
    workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    builder = TextBuilder(raw)
    num_rows = 0
    shown = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
    for sheet in shown:
        builder.heading(sheet.title, level=1)
        sheet.reset_dimensions()  # a file may claim a million empty rows; what it holds is what counts
        rows = sheet.iter_rows(max_row=MAX_ROWS, values_only=True)
        num_rows += _add_rows(builder, _filled_rows(rows, facts.get(sheet.title, SheetFacts())))
        lost = facts[sheet.title].num_lost_formulas if sheet.title in facts else 0
        builder.lose(*counted(lost, f"formula without a stored value in sheet {sheet.title}", "passed over"))
    if not num_rows:
        raise UnreadableDocument(f"{raw.name} holds no rows in the sheets that it shows.")
    hidden = [sheet.title for sheet in workbook.worksheets if sheet not in shown]
    if hidden:
        builder.lose(f"Hidden sheets were not read: {listed(hidden)}.")
    builder.lose(*counted(num_images, "image", "passed over"))
    yield builder.document(
        title=sensible_property(workbook.properties.title) or title_from_name(raw.name),
        media_type=_MACRO_MEDIA_TYPE if raw.name.lower().endswith(".xlsm") else _MEDIA_TYPE,
        metadata={
            "author": sensible_property(workbook.properties.creator),
            "keywords": workbook.properties.keywords,
            "num_rows": num_rows,
            "sheets": ", ".join(sheet.title for sheet in shown),
        },
    )
    workbook.close()


def _filled_rows(rows: Iterable[tuple[object, ...]], facts: SheetFacts) -> Iterator[_Row]:
    """The rows that hold anything, numbered from 1; a cell that spans rows is repeated in each."""
    carried: dict[int, tuple[int, object]] = {}
    merged = iter(facts.merged)
    upcoming = next(merged, None)
    block = 0
    was_empty = False
    for number, values in enumerate(rows, 1):
        row = [None if isinstance(value, str) and not value.strip() else value for value in values]
        while upcoming and upcoming[0] <= number:
            first_row, column, last_row = upcoming
            if first_row == number and column <= len(row):
                carried[column] = (last_row, row[column - 1])
            upcoming = next(merged, None)
        if all(value is None for value in row):
            was_empty = True
            continue
        for column, (last_row, value) in list(carried.items()):
            if number > last_row:
                del carried[column]
            elif value is not None:
                row.extend([None] * (column - len(row)))
                row[column - 1] = value if row[column - 1] is None else row[column - 1]
        block += was_empty
        was_empty = False
        yield _Row(number, block, row)


def _add_rows(builder: TextBuilder, rows: Iterator[_Row]) -> int:
    """Add a sheet's rows; returns how many there are, column names not counted."""
    names: list[str] = []
    title: _Row | None = None
    num_rows = 0
    for _, block in groupby(rows, key=lambda row: row.block):
        head = list(islice(block, _NUM_SAMPLE_ROWS))
        if title is None and len(head) == 1 and _is_title(head[0]):
            title = head[0]  # whether it names a table below shows only there
            continue
        header = _find_header(head, is_first=not names, has_title=title is not None)
        above = head[: header or 0]
        if title is not None:
            above.insert(0, title)
            title = None
        for row in above:
            num_rows += 1
            builder.start_row(row.number)
            if header is not None and row is above[0] and _is_title(row):
                builder.heading(row.first_text, level=2)
            else:
                builder.paragraph(_unnamed_line(row))
        if header is not None:
            names = header_names(head[header].cells)
            head = head[header + 1 :]
        for i, row in enumerate(chain(head, block)):
            num_rows += 1
            builder.start_row(row.number)
            is_note = header is None and i == 0 and row.num_filled == 1  # below an empty row: a signature, a remark
            builder.line(_unnamed_line(row) if is_note or not names else row_line(names, row.cells))
    if title is not None:
        builder.start_row(title.number)
        builder.paragraph(_unnamed_line(title))
        num_rows += 1
    return num_rows


def _find_header(head: list[_Row], *, is_first: bool, has_title: bool) -> int | None:
    """Where the column names are in the first rows of a block; None if there are none, or still those from above.

    Below an empty row, the same table usually goes on. A new one is told by its title, or by words above numbers.
    """
    width = max(row.num_filled for row in head)
    for i, row in enumerate(head[:-1]):
        if row.num_filled < max(2, width * _HEADER_SHARE):
            continue
        if not _holds_names(row):
            return None
        follows_title = has_title or i > 0
        return i if is_first or follows_title or _stands_over_numbers(row, head[i + 1]) else None
    return None


def _holds_names(row: _Row) -> bool:
    filled = [value for value in row.values if value is not None]
    years = [value for value in filled if isinstance(value, int) and value in _YEARS]
    words = [value for value in filled if not _is_amount(value)]
    return bool(words) and len(words) + len(years) == len(filled) and not str(words[0]).rstrip().endswith(":")


def _is_amount(value: object) -> bool:
    return not isinstance(value, str) or is_amount(value)


def _stands_over_numbers(row: _Row, below: _Row) -> bool:
    pairs = zip(row.values, below.values, strict=False)
    return any(isinstance(name, str) and isinstance(value, int | float | date) for name, value in pairs)


def _is_title(row: _Row) -> bool:
    text = row.first_text
    return row.num_filled == 1 and 0 < len(text) <= _MAX_TITLE_CHARS and not text.endswith(":")


def _unnamed_line(row: _Row) -> str:
    """A row without column names; words before numbers or before a single cell name what follows: ``Total: 5``."""
    cells = [cell for cell in row.cells if cell.strip()]
    has_amounts = any(_is_amount(value) for value in row.values if value is not None)
    if row.first_text == one_line(cells[0]) and (len(cells) == 2 or (len(cells) > 2 and has_amounts)):
        return row_line(header_names(cells[:1]), ["; ".join(map(one_line, cells[1:]))])
    return cells[0] if len(cells) == 1 else row_line([], cells)


def _plain(value: object) -> str:
    """A cell's value as people write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return plain_number(value)
    if isinstance(value, datetime):
        is_day = value.time() == time()
        return value.date().isoformat() if is_day else value.isoformat(sep=" ", timespec="auto").removesuffix(":00")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat(timespec="auto")
    if isinstance(value, timedelta):
        return str(value)
    return str(value)
