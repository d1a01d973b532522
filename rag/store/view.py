"""What a view of the database is made of: its columns, each with what it means, and the SQL behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Double, TableClause, column, table
from sqlalchemy.types import TypeEngine

from rag.store.column_types import BigInt, UtcDateTime
from rag.store.encryption import DecryptedText

# What the two databases have no common word for. The results are the same: letters without accents in lower case,
# days of UTC as text.
DIALECTS = {
    "sqlite": {
        "day": "substr({0}, 1, 10)",
        "lower": "lower({0})",
        "character": "char({0})",
        "least": "min({0})",
        "greatest": "max({0})",
    },
    "postgresql": {
        "day": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        "lower": 'lower({0} COLLATE "C")',
        "character": "chr({0})",
        "least": "least({0})",
        "greatest": "greatest({0})",
    },
}
TYPES: dict[str, TypeEngine[Any]] = {
    "integer": BigInt,
    "number": Double(),
    "text": DecryptedText(),
    "boolean": Boolean(),
    "moment": UtcDateTime(),
}


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """A column of a view: its name, the SQL that it is made of, one of ``TYPES``, and what it means."""

    name: str
    sql: str
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view: ``SELECT columns source``, with ``first`` (WITH …) before it.

    In its SQL ``{day:x}``, ``{lower:x}``, ``{character:n}``, ``{least:x, y}`` and ``{greatest:x, y}`` stand for what
    each database calls these.
    """

    name: str
    meaning: str
    columns: tuple[ViewColumn, ...]
    source: str
    first: str = ""

    def definition(self, dialect: str, more_columns: Sequence[ViewColumn] = ()) -> str:
        """The statement that makes it, in SQL of ``dialect`` (sqlite or postgresql)."""
        selected = ",\n    ".join(f"{shown.sql} AS {shown.name}" for shown in (*self.columns, *more_columns))
        statement = f"CREATE VIEW {self.name} AS\n{self.first}SELECT\n    {selected}\n{self.source.strip()}\n"  # noqa: S608
        return _in_dialect(statement, dialect)

    def table(self, more_columns: Sequence[ViewColumn] = ()) -> TableClause:
        """The view as SQLAlchemy selects from it."""
        return table(self.name, *(column(c.name, TYPES[c.kind]) for c in (*self.columns, *more_columns)))


def _in_dialect(statement: str, dialect: str) -> str:
    """Put in what the dialect calls it, the innermost first."""
    words = DIALECTS[dialect]
    while (end := statement.find("}")) >= 0:
        start = statement.rindex("{", 0, end)
        word, _, argument = statement[start + 1 : end].partition(":")
        statement = statement[:start] + words[word].format(argument.strip()) + statement[end + 1 :]
    return statement
