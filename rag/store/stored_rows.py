"""Rows as they lie in a database: encrypted words stay encrypted, JSON stays the text that it is stored as.

For what moves or compares rows and need not know what they mean.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    Table,
    TableClause,
    Text,
    cast,
    column,
    select,
    type_coerce,
)
from sqlalchemy import table as table_clause
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator, TypeEngine

from rag.store.column_types import PlainText

ROWS_PER_BATCH = 1_000
CHARS_PER_BATCH = 8_000_000
"""Characters and bytes together, so that long documents make short batches."""
ROWS_PER_FETCH = 100
LONG_ROWS = {"document_versions": 5, "model_file_parts": 5}
"""Rows fetched at a time where one may hold a whole document (``max_document_chars``), or a megabyte of a model."""


class JsonText(TypeDecorator[str]):
    """JSON of PostgreSQL as its text, in both directions."""

    impl = Text
    cache_ok = True

    def bind_expression(self, bindvalue: BindParameter[str]) -> ColumnElement[Any]:
        """Text becomes JSON."""
        return cast(type_coerce(bindvalue, Text), JSON)

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """JSON becomes text."""
        return cast(column, Text)


@cache
def stored_table(table: Table, dialect: str) -> TableClause:
    """A table with the same columns, whose values are those that are stored. ``dialect`` is that of the database."""
    return table_clause(table.name, *(column(one.name, _stored_type(one.type, dialect)) for one in table.columns))


def _stored_type(of: TypeEngine[Any], dialect: str) -> TypeEngine[Any]:
    if isinstance(of, PlainText):
        return Text()
    if isinstance(of, JSON):
        # SQLite keeps text in such a column, and a cast to JSON would make a number of it.
        return JsonText() if dialect == "postgresql" else Text()
    return of


def leading_key(table: Table) -> tuple[str, bool] | None:
    """The first column of the primary key, if it counts, and whether it is the whole key."""
    key = list(table.primary_key.columns)
    return (key[0].name, len(key) == 1) if isinstance(key[0].type, Integer) else None


def stored_rows(
    session: Session, statement: Select[Any], table: Table, *, rows_per_batch: int = ROWS_PER_BATCH
) -> Iterator[Sequence[Any]]:
    """What a query of a stored table gives, in batches that fit into memory whatever the size of the table."""
    batch: list[Any] = []
    num_chars = 0
    fetched = LONG_ROWS.get(table.name, ROWS_PER_FETCH)
    with session.execute(statement.execution_options(yield_per=fetched)) as found:
        for row in found:
            batch.append(row)
            num_chars += sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(batch) >= rows_per_batch or num_chars >= CHARS_PER_BATCH:
                yield batch
                batch, num_chars = [], 0
    if batch:
        yield batch


def select_stored(table: Table, dialect: str, *wanted: ColumnElement[bool]) -> Select[Any]:
    """All columns of the rows wanted, in the order of the leading key where that counts."""
    stored = stored_table(table, dialect)
    statement = select(stored).where(*wanted)
    lead = leading_key(table)
    return statement if lead is None else statement.order_by(stored.c[lead[0]])
