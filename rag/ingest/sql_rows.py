"""The rows of a SQL query as documents."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from urllib.parse import quote
from uuid import UUID

from rag.errors import InvalidInput, UnreadableDocument
from rag.ingest.readers.facts import one_line, plain_number
from rag.ingest.readers.limits import Limits, UnpackingBudget
from rag.ingest.readers.losses import listed, told_by_the_last
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import row_line
from rag.records import Document
from rag.store.sql_source import SqlSource

_MEDIA_TYPE = "text/plain"
_MAX_ID_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnNames:
    """Which columns hold a row's id, title and text. Without a title it is called by its id; the text is all of it."""

    id: str = "id"
    title: str | None = None
    text: str | None = None


USUAL_COLUMNS = ColumnNames()


def row_documents(source: SqlSource, columns: ColumnNames, limits: Limits) -> Iterator[Document]:
    """Each row as a document ``source.uri#id``. All columns but the text are metadata, as far as they are scalars.

    Rows without an id, with one that another row has, or without text are among the losses of the last document.

    Raises:
        InvalidInput: the query fails or lacks a column.
        UnreadableDocument: it gives rows, but none with an id and text.
        LimitExceeded: a text is too large.
        StoreUnavailable: the database does not answer.
    """
    losses: list[str] = []
    rows = _Rows(source, columns, limits)
    yield from told_by_the_last(rows.documents(losses), losses)
    if rows.num_read and not rows.num_documents:
        raise UnreadableDocument(f"No row of the query can be read. {losses[0]}")


class _Rows:
    """Reads the rows of one query once, and counts what comes of them."""

    def __init__(self, source: SqlSource, columns: ColumnNames, limits: Limits) -> None:
        self._source, self._columns = source, columns
        self._raw = RawFile(
            stream=io.BytesIO(), name=source.name, uri=source.uri, limits=limits, budget=UnpackingBudget(limits)
        )
        self._bytes_columns: dict[str, None] = {}
        self.num_read = self.num_documents = 0

    def documents(self, losses: list[str]) -> Iterator[Document]:
        """The documents; ``losses`` is filled at the end."""
        ids: set[str] = set()
        without_id, repeated, without_text = 0, [], []
        for row in self._source.rows():
            if not self.num_read:
                self._check_columns(row)
            self.num_read += 1
            row_id = one_line(_text(row[self._columns.id]))[:_MAX_ID_CHARS]
            if not row_id:
                without_id += 1
            elif row_id in ids:
                repeated.append(row_id)
            else:
                ids.add(row_id)
                try:
                    document = self._document(row, row_id)
                except UnreadableDocument:
                    without_text.append(row_id)
                    continue
                self.num_documents += 1
                yield document
        if without_id:
            losses.append(f"Rows without an id in column {self._columns.id} were passed over: {without_id:,}.")
        if repeated:
            losses.append(f"Of rows with the same id only the first was read: {listed(repeated)}.")
        if without_text:
            losses.append(f"Rows without text were passed over: {listed(without_text)}.")
        if self._bytes_columns:
            losses.append(f"Columns of bytes were passed over: {listed(list(self._bytes_columns))}.")

    def _check_columns(self, row: Mapping[str, object]) -> None:
        for name in (self._columns.id, self._columns.title, self._columns.text):
            if name is not None and name not in row:
                raise InvalidInput(f"The query has no column {name!r}; it has {', '.join(row)}.")

    def _document(self, row: Mapping[str, object], row_id: str) -> Document:
        builder = TextBuilder(self._raw)
        text_column = self._columns.text
        if text_column is None:
            builder.line(row_line(list(row), [_text(value) for value in row.values()]))
        else:
            builder.paragraph(_text(row[text_column]))
        self._bytes_columns.update((name, None) for name, value in row.items() if _is_bytes(value))
        title = one_line(_text(row[self._columns.title])) if self._columns.title else ""
        return builder.document(
            title=title or f"{self._source.name}, {row_id}",
            media_type=_MEDIA_TYPE,
            metadata={name: _fact(value) for name, value in row.items() if name != text_column},
            place=quote(row_id, safe="", errors="replace"),
        )


def _fact(value: object) -> object:
    """A value as metadata; what is no scalar is left out later on."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, time | timedelta | UUID):
        return str(value)
    return value


def _text(value: object) -> str:
    if value is None or _is_bytes(value):
        return ""
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)
