"""The rows of a query over somebody else's database: read as a stream, and never written to."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from rag.errors import InvalidInput, StoreUnavailable
from rag.store.database import DRIVERS

_ROWS_PER_FETCH = 500
_NUM_HASH_CHARS = 12
_CONNECT_TIMEOUT_S = 10
_MAY_DO = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))


# Result codes of SQLite, and the classes of PostgreSQL's error codes (appendix A of its manual).
_FAULTS_OF_QUERIES = frozenset(("SQLITE_ERROR", "SQLITE_READONLY", "0A", "22", "25", "34", "42"))


class SqlSource:
    """A query and the database that it asks. ``uri`` names both, without user and password: a query by its hash."""

    def __init__(self, url: str, query: str) -> None:
        """Take an SQLAlchemy URL; nothing is opened yet.

        Raises:
            InvalidInput: the URL is malformed, names another database system than SQLite or PostgreSQL, no file that
                is there, or its driver is missing; or the query is empty.
        """
        self._url = _parse(url)
        self._query = query.strip().rstrip(";").rstrip()
        if not self._query:
            raise InvalidInput("The query is empty; write for example SELECT id, title, body FROM articles.")
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._place = _place(self._url, is_sqlite=self._is_sqlite)
        sha256 = hashlib.sha256(self._query.encode("utf-8", "surrogatepass")).hexdigest()
        self.uri = f"sql:{self._place}?{sha256[:_NUM_HASH_CHARS]}"
        self.name = Path(self._url.database or "").stem or "database"

    def rows(self) -> Iterator[Mapping[str, object]]:
        """The rows as they come, by column; all of one moment, however long it takes.

        Raises:
            InvalidInput: the query fails, is more than one statement, would change something, or gives two columns one
                name.
            StoreUnavailable: the database does not answer.
        """
        try:
            engine = create_engine(_read_only(self._url) if self._is_sqlite else self._url, **self._engine_options())
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"--sql needs the Python package {error.name}; install grounded-rag[postgres]."
            ) from error
        try:
            with engine.connect() as connection:
                self._forbid_writing(connection)
                options = {"stream_results": True, "yield_per": _ROWS_PER_FETCH, "no_parameters": True}
                with connection.exec_driver_sql(self._query, execution_options=options) as result:
                    if not result.returns_rows:
                        raise InvalidInput("The query gives no rows; it must be a SELECT.")
                    columns = list(result.keys())
                    _check_names(columns)
                    for row in result:
                        yield dict(zip(columns, row, strict=True))
        except DBAPIError as error:
            raise self._translated(error) from error
        except SQLAlchemyError as error:
            raise InvalidInput(f"The query cannot be run: {_first_line(error)}.") from error
        finally:
            engine.dispose()

    def _engine_options(self) -> dict[str, object]:
        options: dict[str, object] = {"poolclass": NullPool, "hide_parameters": True}
        if not self._is_sqlite:
            options["connect_args"] = {"connect_timeout": _CONNECT_TIMEOUT_S}
        return options

    def _forbid_writing(self, connection: Connection) -> None:
        if self._is_sqlite:
            # Opened read-only already; this also keeps a query from attaching another file, or making one.
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _MAY_DO else sqlite3.SQLITE_DENY)
        else:
            # The stream is a cursor of the server, which takes one statement only; so nothing can end this transaction.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def _translated(self, error: DBAPIError) -> InvalidInput | StoreUnavailable:
        reason = _first_line(error.orig or error)
        code: str = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or ""
        kind = "_".join(code.split("_")[:2]) if self._is_sqlite else code[:2]
        if self._is_sqlite and reason in ("not authorized", "authorization denied"):
            reason = "it does more than read tables, which is not allowed"
        elif kind not in _FAULTS_OF_QUERIES and isinstance(error, OperationalError):
            return StoreUnavailable(f"The database {self._place} does not answer ({reason}); check --sql.")
        return InvalidInput(f"The query fails: {reason}.")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("--sql is no database URL; write for example sqlite:////data/shop.db.") from error
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise InvalidInput(f"--sql names {parsed.drivername}, which is not supported; use sqlite or postgresql.")
    parsed = parsed.set(drivername=driver)
    if driver == "sqlite":
        if not parsed.database or not Path(parsed.database).is_file():
            raise InvalidInput(f"There is no SQLite database {parsed.database or ''!r}; check --sql.")
        return parsed.set(database=str(Path(parsed.database).absolute()))
    if not parsed.database:
        raise InvalidInput("--sql names no database; write for example postgresql://host/shop.")
    return parsed


def _place(url: URL, *, is_sqlite: bool) -> str:
    if is_sqlite:
        return quote(url.database or "", safe="/", errors="surrogateescape")
    port = f":{url.port}" if url.port else ""
    return f"{quote(url.host or 'localhost')}{port}/{quote(url.database or '', safe='')}"


def _read_only(url: URL) -> URL:
    """The same file as a URI (https://www.sqlite.org/uri.html) that says so."""
    path = quote(url.database or "", safe="/", errors="surrogateescape")
    return URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def _check_names(columns: list[str]) -> None:
    repeated = [name for name, times in Counter(columns).items() if times > 1]
    if repeated:
        raise InvalidInput(f"The query gives two columns the name {repeated[0]!r}; rename one with AS.")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).strip().rstrip(".")
