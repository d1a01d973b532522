"""How a query of somebody's own is kept to reading, on SQLite and on PostgreSQL, and what its failures mean."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from rag.errors import InvalidInput

CONNECT_TIMEOUT_S = 10
_MAY_DO = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
# Result codes of SQLite, and the classes of PostgreSQL's error codes (appendix A of its manual).
_FAULTS_OF_QUERIES = frozenset(("SQLITE_ERROR", "SQLITE_READONLY", "SQLITE_AUTH", "0A", "22", "25", "34", "42"))


def stripped(query: str) -> str:
    """The query without blanks and semicolons at its ends."""
    return query.strip().rstrip(";").rstrip()


def read_only_engine(url: URL) -> Engine:
    """Connections to a database, each for one use; those to an SQLite file cannot write to it.

    Raises:
        ModuleNotFoundError: the driver is missing.
    """
    if url.get_backend_name() == "sqlite":
        return create_engine(_read_only(url), poolclass=NullPool, hide_parameters=True)
    return create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S}
    )


def forbid_writing(connection: Connection, may_read: Callable[[str, str], bool] | None = None) -> None:
    """See that nothing but reading can be done over the connection, in the transaction that it begins.

    ``may_read`` is asked by SQLite for each column of a query: by table, and column, empty where only rows count.
    """
    if connection.dialect.name != "sqlite":
        # The stream is a cursor of the server, which takes one statement only; so nothing can end this transaction.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return

    def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
        if action not in _MAY_DO:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() == "load_extension":
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_READ and may_read is not None and not may_read(first or "", second or ""):
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    # Opened read-only already; this also keeps a query from attaching another file, or making one.
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.set_authorizer(authorize)


def check_names(columns: list[str]) -> None:
    """Raises InvalidInput where two columns have one name."""
    repeated = [name for name, times in Counter(columns).items() if times > 1]
    if repeated:
        raise InvalidInput(f"The query gives two columns the name {repeated[0]!r}; rename one with AS.")


def error_code(error: DBAPIError) -> str:
    """What the database calls the error: a result code of SQLite, an error code of PostgreSQL, or nothing."""
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or ""


def fault_of_query(error: DBAPIError) -> InvalidInput | None:
    """What is wrong with the query; None where the database is at fault."""
    reason, code = first_line(error.orig or error), error_code(error)
    kind = "_".join(code.split("_")[:2]) if code.startswith("SQLITE") else code[:2]
    if reason in ("not authorized", "authorization denied"):
        reason = "it does more than read tables, which is not allowed"
    elif reason.endswith(" is prohibited"):
        reason = f"{reason}: it is kept back"
    elif kind not in _FAULTS_OF_QUERIES and isinstance(error, OperationalError):
        return None
    return InvalidInput(f"The query fails: {reason}.")


def first_line(error: BaseException) -> str:
    """What an error says, in one line without a full stop."""
    return next(iter(str(error).splitlines()), type(error).__name__).strip().rstrip(".")


def _read_only(url: URL) -> URL:
    """The same file as a URI (https://www.sqlite.org/uri.html) that says so."""
    path = quote(url.database or "", safe="/", errors="surrogateescape")
    return URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})
