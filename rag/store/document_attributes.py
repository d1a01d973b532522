"""Tags and metadata of documents, one row for each value, so that filters go by an index and not by reading JSON."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from rag.records import Metadata
from rag.store.table_conventions import table_of
from rag.store.tables import DocumentAttribute

MAX_TEXT_CHARS = 400
"""Longer values are compared by hash: PostgreSQL has no room for them in an index."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MIN_DATE_CHARS = len("2024-01-31")


def attribute_text(value: str | int | float | bool) -> str:
    """A value in the words of JSON, as it is stored and compared."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def as_number(value: Any) -> float | None:
    """A number, or a text that is one, as a float; None for anything else, truth values included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_moment(value: Any) -> datetime | None:
    """A date or a date with time in ISO 8601 as a moment; UTC where it names no zone, midnight where no time."""
    if not isinstance(value, str) or len(value.strip()) < _MIN_DATE_CHARS:
        return None
    text = value.strip()
    try:
        if len(text) == _MIN_DATE_CHARS:
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def attribute_rows(document_id: int, tags: Mapping[str, str], metadata: Metadata) -> list[dict[str, Any]]:
    """The rows that stand for a document's tags and metadata; nulls have none."""
    values = [(True, tags), (False, metadata)]
    return [
        {
            "document_id": document_id,
            "is_tag": is_tag,
            "name": name,
            "text": attribute_text(value),
            "number": as_number(value),
            "moment": as_moment(value),
        }
        for is_tag, mapping in values
        for name, value in mapping.items()
        if value is not None
    ]


def put_attributes(
    session: Session, document_id: int, *, tags: Mapping[str, str] | None, metadata: Metadata | None
) -> None:
    """Replace the rows of a document's tags, its metadata, or both; None leaves those that are there."""
    for is_tag, given in ((True, tags), (False, metadata)):
        if given is None:
            continue
        session.execute(
            delete(DocumentAttribute).where(
                DocumentAttribute.document_id == document_id, DocumentAttribute.is_tag.is_(is_tag)
            )
        )
    add_attributes(session, document_id, tags=tags or {}, metadata=metadata or {})


def add_attributes(session: Session, document_id: int, *, tags: Mapping[str, str], metadata: Metadata) -> None:
    """Write the rows of a document that has none of those names yet."""
    rows = attribute_rows(document_id, tags, metadata)
    if rows:
        # Into the table: into the class, rows with a number and rows without would be two statements.
        session.execute(insert(table_of(DocumentAttribute)), rows)
