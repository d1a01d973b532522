"""``rag sql``."""

import csv
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.output import note, print_json, print_table
from rag.cli.state import open_database, operator

if TYPE_CHECKING:
    from rag.store.sql_console import QueryResult

MAX_AUDITED_CHARS = 1_000
"""Of a query, what stands in the audit."""


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def sql(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(help="One SELECT. Without it, what can be read is listed.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many rows.", min=1, max=1_000_000)] = 100,
    timeout: Annotated[float, typer.Option(help="At most so many seconds.", min=0.001, max=3600)] = 30.0,
    output_format: Annotated[Format, typer.Option("--format", help="table, csv or json.")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Query the log with SQL: the views of docs/sql.md and the tables behind them. Nothing can be changed."""
    from rag.store.audit import put_audit_event
    from rag.store.sql_console import QueryResult, readable_columns, run_query

    with open_database(context) as database:
        if query is None:
            readable = readable_columns(database)
            rows = tuple((name, column) for name, columns in readable.items() for column in columns)
            found = QueryResult(columns=("table", "column"), rows=rows, has_more=False)
        else:
            with database.write() as session:
                put_audit_event(session, operator(), "sql.query", details={"query": query[:MAX_AUDITED_CHARS]})
            found = run_query(database, query, limit=limit, timeout_s=timeout)
    _print(found, Format.JSON if as_json else output_format)
    if found.has_more:
        note(f"only the first {limit} rows; --limit allows more")


def _print(found: "QueryResult", output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json([dict(zip(found.columns, row, strict=True)) for row in found.rows])
    elif output_format is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(found.columns)
        writer.writerows(found.rows)
    else:
        print_table(found.columns, [[_shown(cell) for cell in row] for row in found.rows])


def _shown(cell: object) -> object:
    """A number as short as it can be read; CSV and JSON have all its digits."""
    return f"{cell:.6g}" if isinstance(cell, float) else cell
