"""JSON and JSON Lines: each object, array element or line is a document of its own.

A record's text is the first of its fields ``text``, ``content``, ``body`` and ``answer`` that holds any, its title the
first of ``title``, ``name``, ``question`` and ``id``. Its other short scalars are metadata. What is left (nested or
long values; every field of a record without a text field) becomes ``key: value`` lines of the text, so no word is lost.
Which fields hold text, title and id can also be said (``RawFile.fields``); the id then takes the place of the row.
"""

import json
from collections.abc import Iterator

from rag.errors import UnreadableDocument
from rag.ingest.readers.facts import one_line, sensible_property, title_from_name
from rag.ingest.readers.limits import check_size
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import FieldNames, RawFile, RawText
from rag.records import Document
from rag.text.clean import clean_text

_TEXT_FIELDS = ("text", "content", "body", "answer")
_TITLE_FIELDS = ("title", "name", "question", "id")
_MEDIA_TYPE = "application/json"  # each line of JSON Lines is one, too; the lines together have no registered name
_MAX_METADATA_CHARS = 500
_MAX_KEY_CHARS = 100
_MAX_ID_CHARS = 500  # ids become part of the source, which is indexed
_MAX_PATH_CHARS = 300  # so that hostile nesting does not repeat long keys without end
_MAX_BAD_ROWS_NAMED = 20


def read_json(raw: RawFile) -> Iterator[Document]:
    """Read ``.json``: an array gives a document for each element, ``source#row=N`` from 1; anything else gives one.

    Raises:
        UnreadableDocument: the file is not JSON or holds no text; at the end, if some elements hold no text or lack a
            field that was asked for, naming them, when all the others have been yielded.
        LimitExceeded: the file or a text is too large.
    """
    raw_text = raw.read_text()
    try:
        content = json.loads(raw_text.text)
    except json.JSONDecodeError as error:
        raise UnreadableDocument(
            f"{raw.name} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from error
    except (RecursionError, ValueError) as error:
        raise UnreadableDocument(f"{raw.name} cannot be read as JSON: {_reason(error)}.") from error
    records = _Records(raw, raw_text)
    if not isinstance(content, list):
        try:
            yield records.read(content)
        except _BadRecord as error:
            raise UnreadableDocument(f"{raw.name} cannot be read: {error}.") from error
        return
    if not content:
        raise UnreadableDocument(f"{raw.name} holds an empty list.")
    bad_rows = []
    for row, element in enumerate(content, 1):
        try:
            yield records.read(element, row=row)
        except _BadRecord as error:
            bad_rows.append((row, str(error)))
    _refuse(raw, bad_rows, num_records=len(content), unit="elements")


def read_json_lines(raw: RawFile) -> Iterator[Document]:
    """Read ``.jsonl`` or ``.ndjson`` line by line: line N gives the document ``source#row=N``; blank lines are skipped.

    Raises:
        UnreadableDocument: at the end, naming the lines that are not JSON, hold no text or lack a field that was asked
            for, when all the others have been yielded: one bad line costs no good one, and none goes unnoticed.
        LimitExceeded: the file or a line's text is too large.
    """
    records = _Records(raw, RawText("", {}, ()))
    max_file_bytes = raw.limits.max_file_bytes
    bad_rows: list[tuple[int, str]] = []
    num_bytes = num_lines = num_records = 0
    while line := raw.stream.readline(max_file_bytes + 1 - num_bytes):
        num_bytes += len(line)
        check_size(num_bytes, max_file_bytes=max_file_bytes, name=raw.name)
        num_lines += 1
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if num_lines == 1 else "utf-8"))
            document = records.read(record, row=num_lines)
        except (RecursionError, ValueError) as error:
            bad_rows.append((num_lines, _reason(error)))
        else:
            num_records += 1
            yield document
    if num_records == len(bad_rows) == 0:
        raise UnreadableDocument(f"{raw.name} holds no text.")
    _refuse(raw, bad_rows, num_records=num_records + len(bad_rows), unit="lines")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


def _refuse(raw: RawFile, bad_rows: list[tuple[int, str]], *, num_records: int, unit: str) -> None:
    if bad_rows:
        named = ", ".join(str(row) for row, _ in bad_rows[:_MAX_BAD_ROWS_NAMED])
        more = len(bad_rows) - _MAX_BAD_ROWS_NAMED
        and_more = f" and {more:,} more" if more > 0 else ""
        others = "; the others were read" if num_records > len(bad_rows) else ""
        raise UnreadableDocument(
            f"{raw.name} has unreadable {unit}: {named}{and_more} (the first: {bad_rows[0][1]}){others}."
        )


class _BadRecord(ValueError):
    """A record that gives no document; the message says why, without its number."""


class _Records:
    """Makes documents of the records of one file."""

    def __init__(self, raw: RawFile, raw_text: RawText) -> None:
        self._raw, self._raw_text = raw, raw_text
        self._losses = raw_text.losses
        self._ids: set[str] = set()

    def read(self, record: object, *, row: int | None = None) -> Document:
        """The document of a record.

        Raises:
            _BadRecord: it holds no text, or lacks a field that was asked for.
        """
        builder = TextBuilder(self._raw)
        place = self._raw.place if row is None else self._raw.place_of("row", row)
        if self._raw.fields.id is not None:
            place = self._raw.place_of("id", self._new_id(record))
        title = title_from_name(self._raw.name) if row is None else f"{title_from_name(self._raw.name)}, row {row}"
        facts: dict[str, object] = {}
        if isinstance(record, dict):
            title = _add_fields(builder, record, facts, self._raw.fields) or title
        elif self._raw.fields.text is not None:
            raise _BadRecord(f"it has no field {self._raw.fields.text!r}")
        else:
            _add_lines(builder, "", record)
        if builder.is_empty:
            raise _BadRecord("it holds no text")
        builder.lose(*self._losses)  # said once, by the first document
        self._losses = ()
        metadata = {**facts, **self._raw_text.metadata}
        return builder.document(title=title, media_type=_MEDIA_TYPE, metadata=metadata, place=place)

    def _new_id(self, record: object) -> str:
        name = self._raw.fields.id or ""
        value = record.get(name) if isinstance(record, dict) else None
        if not _has_words(value):
            raise _BadRecord(f"it has no id in the field {name!r}")
        record_id = one_line(str(value))[:_MAX_ID_CHARS]
        if record_id in self._ids:
            raise _BadRecord(f"its id {record_id!r} stands above already")
        self._ids.add(record_id)
        return record_id


def _add_fields(builder: TextBuilder, record: dict[str, object], facts: dict[str, object], fields: FieldNames) -> str:
    """Put each field where it belongs; returns the title."""
    text_fields = _TEXT_FIELDS if fields.text is None else (fields.text,)
    title_fields = _TITLE_FIELDS if fields.title is None else (fields.title,)
    text_field = next((name for name in text_fields if _has_words(record.get(name))), None)
    title_field = next((name for name in title_fields if _has_words(record.get(name))), None)
    if fields.text is not None and text_field is None:
        raise _BadRecord(f"it has no text in the field {fields.text!r}")
    title = sensible_property(str(record[title_field])) if title_field else ""
    if text_field:
        builder.paragraph(str(record[text_field]))
    for key, value in record.items():
        if key == text_field:
            continue
        fact = _fact(value)
        if fact is not None:
            facts[key] = fact
        if text_field is None or (fact is None and value is not None):
            _add_lines(builder, key[:_MAX_KEY_CHARS], value)
    return title


def _has_words(value: object) -> bool:
    if isinstance(value, str):
        return bool(clean_text(value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fact(value: object) -> object:
    """The value if it is short enough to filter by; a list of scalars as one string."""
    if isinstance(value, list) and value and all(_is_scalar(element) for element in value):
        value = ", ".join(map(_as_text, value))
    if isinstance(value, str):
        return value if len(value) <= _MAX_METADATA_CHARS else None
    return value if _is_scalar(value) else None


def _is_scalar(value: object) -> bool:
    return not isinstance(value, dict | list)


def _as_text(scalar: object) -> str:
    return scalar if isinstance(scalar, str) else json.dumps(scalar)


def _add_lines(builder: TextBuilder, key: str, value: object) -> None:
    """``key: value`` lines, nested keys joined by full stops. With a stack, since recursion could go too deep."""
    stack = [(key, value)]
    while stack:
        path, current = stack.pop()
        if isinstance(current, list) and all(_is_scalar(element) for element in current):
            current = ", ".join(_as_text(element) for element in current if element is not None)
        if isinstance(current, dict):
            children = [(_join_path(path, name), child) for name, child in current.items()]
            stack.extend(reversed(children))
        elif isinstance(current, list):
            children = [(_join_path(path, str(number)), child) for number, child in enumerate(current, 1)]
            stack.extend(reversed(children))
        elif current is not None and clean_text(_as_text(current)):
            builder.line(f"{one_line(path)}: {_as_text(current)}" if path else _as_text(current))


def _join_path(path: str, name: str) -> str:
    return f"{path[-_MAX_PATH_CHARS:]}.{name[:_MAX_KEY_CHARS]}" if path else name[:_MAX_KEY_CHARS]
