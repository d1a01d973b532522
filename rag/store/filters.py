"""Filters on documents: ``{name: value}``, all of which must hold.

The names ``source``, ``file``, ``title``, ``media_type`` and ``origin`` mean the document itself; any other name means
the tag or the metadata value of that name. Values are compared as text, in the words of JSON: ``true``, ``5``, ``0.5``.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from rag.errors import InvalidInput
from rag.store.column_types import check_plain_text
from rag.store.tables import Document

COLUMNS = {
    "source": Document.source,
    "file": Document.file,
    "title": Document.title,
    "media_type": Document.media_type,
    "origin": Document.origin,
}


class JsonText(FunctionElement[str]):
    """The value under a key of a JSON object, as text; NULL when it is absent or null."""

    name = "json_text"
    type = Text()
    inherit_cache = True


@compiles(JsonText, "postgresql")
def _json_text_postgresql(element: JsonText, compiler: SQLCompiler, **kwargs: Any) -> str:
    column, key = element.clauses
    return f"({compiler.process(column, **kwargs)} ->> {compiler.process(key, **kwargs)})"


@compiles(JsonText, "sqlite")
def _json_text_sqlite(element: JsonText, compiler: SQLCompiler, **kwargs: Any) -> str:
    # SQLite's own ->> takes the key as a path, where dots and quotes have a meaning, and gives true as 1.
    # compiler.process writes a column's name and a placeholder, never a value.
    column, key = (compiler.process(part, **kwargs) for part in element.clauses)
    value = (
        "CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
        " WHEN 'real' THEN json_number_text(atom) ELSE CAST(atom AS TEXT) END"
    )
    return f"(SELECT {value} FROM json_each({column}) WHERE key = {key})"  # noqa: S608


def conditions(filters: Mapping[str, str]) -> list[ColumnElement[bool]]:
    """What a row of ``documents`` must fulfil. Names and values only ever become bound parameters.

    Raises:
        InvalidInput: a name is empty, or a name or value holds characters that cannot be stored.
    """
    return [_condition(name, value) for name, value in filters.items()]


def _condition(name: str, value: str) -> ColumnElement[bool]:
    if not name:
        raise InvalidInput("A filter needs a name; write it as name=value.")
    check_plain_text(name)
    check_plain_text(value)
    if name in COLUMNS:
        return COLUMNS[name] == value
    return or_(JsonText(Document.tags, name) == value, JsonText(Document.document_metadata, name) == value)
