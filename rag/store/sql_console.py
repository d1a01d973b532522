"""Queries of people's own over the log: they can only read, and only what is readable; rows and time are limited."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from rag.errors import InvalidInput, StoreUnavailable
from rag.store.database import Database
from rag.store.read_only import (
    check_names,
    error_code,
    fault_of_query,
    first_line,
    forbid_writing,
    read_only_engine,
    stripped,
)
from rag.store.readable_tables import READABLE
from rag.store.views import READER_ROLE

_OF_SQLITE = frozenset(("sqlite_master", "sqlite_schema", "sqlite_sequence", "json_each", "json_tree"))
_STEPS_PER_CHECK = 10_000
_TOO_LONG = ("SQLITE_INTERRUPT", "57014")
# Functions of PostgreSQL that run a text as SQL, read files or large objects, change settings or act on the server.
_REFUSED_FUNCTION = re.compile(
    r"\b((?:query|table|cursor|schema|database)_to_xml\w*|ts_stat|ts_rewrite|crosstab\w*|connectby|xpath_table|dblink\w*"
    r"|set_config|lo_\w+|loread|lowrite|pg_\w+)\(",
    re.IGNORECASE,
)
_MAY_BE_READER = """
SELECT EXISTS (
    SELECT FROM pg_roles
    WHERE rolname = %(role)s AND pg_has_role(current_user, oid, 'MEMBER') AND rolname <> current_user
    AND has_table_privilege(oid, 'answers', 'SELECT')
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """What a query gives. Both databases give the same: moments as text in UTC, truth as 1 and 0, bytes as hex digits.

    ``has_more``: there were more rows than the limit.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    has_more: bool


def run_query(database: Database, query: str, *, limit: int = 100, timeout_s: float = 30.0) -> QueryResult:
    """Run one SELECT and return its first ``limit`` rows.

    On SQLite an authorizer decides what is read. On PostgreSQL the plan is looked through for tables that are kept
    back and for functions that could go around it, and the role ``rag_reader`` is taken where it is set up.

    Raises:
        InvalidInput: the query fails, is no single SELECT, reads what is kept back, or takes longer than ``timeout_s``.
        StoreUnavailable: the database does not answer.
    """
    statement = stripped(query)
    if not statement:
        raise InvalidInput("The query is empty; write for example SELECT question, answer FROM answer_review.")
    if limit < 1 or timeout_s <= 0:
        raise InvalidInput("The limit must be at least 1 row, and the timeout longer than 0 seconds.")
    deadline = time.monotonic() + timeout_s
    with _connected(database, timeout_s) as connection:
        if connection.dialect.name == "sqlite":
            _limit_sqlite(connection, deadline)
        else:
            _limit_postgresql(connection, statement, timeout_s)
        options = {"stream_results": True, "max_row_buffer": min(limit + 1, 500), "no_parameters": True}
        with connection.exec_driver_sql(statement, execution_options=options) as result:
            if not result.returns_rows:
                raise InvalidInput("The query gives no rows; it must be a SELECT.")
            columns = list(result.keys())
            check_names(columns)
            rows = []
            for row in result:
                rows.append(tuple(_value(value) for value in row))
                if len(rows) > limit:
                    break
                if time.monotonic() > deadline:
                    raise _took_too_long(timeout_s)
    return QueryResult(columns=tuple(columns), rows=tuple(rows[:limit]), has_more=len(rows) > limit)


def readable_columns(database: Database) -> dict[str, list[str]]:
    """The columns of each view and table that can be read, views first.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    with database.read() as session:
        inspector = inspect(session.connection())
        views, tables = sorted(inspector.get_view_names()), sorted(inspector.get_table_names())
        return {
            name: [column["name"] for column in inspector.get_columns(name)]
            for name in (*views, *tables)
            if name in READABLE
        }


@contextmanager
def _connected(database: Database, timeout_s: float) -> Iterator[Connection]:
    database.ping()  # a missing file or driver is told in this database's own words
    engine: Engine = read_only_engine(database.url)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if error_code(error) in _TOO_LONG:
            raise _took_too_long(timeout_s) from error
        fault = fault_of_query(error)
        if fault is not None:
            raise fault from error
        raise StoreUnavailable(f"The database {database} does not answer ({first_line(error)}).") from error
    except SQLAlchemyError as error:
        raise InvalidInput(f"The query cannot be run: {first_line(error)}.") from error
    finally:
        engine.dispose()


def _limit_sqlite(connection: Connection, deadline: float) -> None:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    kept_back = {name.lower() for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    kept_back -= READABLE | _OF_SQLITE

    def may_read(table: str, column: str) -> bool:
        # Without a column it may be the name that the query itself gives to a part of it.
        return table.lower() in READABLE | _OF_SQLITE or (not column and table.lower() not in kept_back)

    forbid_writing(connection, may_read)
    raw.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS_PER_CHECK)


def _limit_postgresql(connection: Connection, statement: str, timeout_s: float) -> None:
    # For the session, so that not even a query that ended the transaction could write.
    connection.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    connection.commit()
    forbid_writing(connection)
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(timeout_s * 1000))}")
    connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
    if connection.exec_driver_sql(_MAY_BE_READER, {"role": READER_ROLE}).scalar_one():
        connection.exec_driver_sql(f"SET LOCAL ROLE {READER_ROLE}")
    plan = _plan(connection, statement)
    for relation in _relations(plan):
        if relation.removeprefix("public.") not in READABLE:
            raise InvalidInput(f"The query fails: access to {relation} is prohibited: it is kept back.")
    refused = _REFUSED_FUNCTION.search(json.dumps(plan))
    if refused:
        raise InvalidInput(f"The query fails: the function {refused[1]} does more than read tables.")


def _plan(connection: Connection, statement: str) -> Any:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor:
        try:
            # Prepared, because the server then takes one statement only.
            cursor.execute(f"EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {statement}", prepare=True)
        except connection.dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(statement, None, error, Exception, dialect=connection.dialect) from error
        return cursor.fetchone()[0]


def _relations(plan: Any) -> Iterator[str]:
    """The tables that a plan reads, with their schema, however deep."""
    if isinstance(plan, list):
        for part in plan:
            yield from _relations(part)
    elif isinstance(plan, dict):
        if "Relation Name" in plan:
            yield f"{plan.get('Schema', 'public')}.{plan['Relation Name']}"
        for part in plan.values():
            yield from _relations(part)


def _took_too_long(timeout_s: float) -> InvalidInput:
    return InvalidInput(f"The query took longer than {timeout_s:g} seconds; narrow it, or allow more (--timeout).")


def _value(value: object) -> object:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if isinstance(value, date) else value
