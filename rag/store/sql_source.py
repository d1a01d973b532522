"""The rows of a query over somebody else's database: read as a stream, and never written to."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from rag.errors import InvalidInput, StoreUnavailable
from rag.store.database import DRIVERS
from rag.store.read_only import check_names, fault_of_query, first_line, forbid_writing, read_only_engine, stripped

_ROWS_PER_FETCH = 500
_NUM_HASH_CHARS = 12


class SqlSource:
    """A query and the database that it asks. ``uri`` names both, without user and password: a query by its hash."""

    def __init__(self, url: str, query: str) -> None:
        """Take an SQLAlchemy URL; nothing is opened yet.

        Raises:
            InvalidInput: the URL is malformed, names another database system than SQLite or PostgreSQL, no file that
                is there, or its driver is missing; or the query is empty.
        """
        self._url = _parse(url)
        self._query = stripped(query)
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
            engine = read_only_engine(self._url)
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"--sql needs the Python package {error.name}; install grounded-rag[postgres]."
            ) from error
        try:
            with engine.connect() as connection:
                forbid_writing(connection)
                options = {"stream_results": True, "yield_per": _ROWS_PER_FETCH, "no_parameters": True}
                with connection.exec_driver_sql(self._query, execution_options=options) as result:
                    if not result.returns_rows:
                        raise InvalidInput("The query gives no rows; it must be a SELECT.")
                    columns = list(result.keys())
                    check_names(columns)
                    for row in result:
                        yield dict(zip(columns, row, strict=True))
        except DBAPIError as error:
            raise self._translated(error) from error
        except SQLAlchemyError as error:
            raise InvalidInput(f"The query cannot be run: {first_line(error)}.") from error
        finally:
            engine.dispose()

    def _translated(self, error: DBAPIError) -> InvalidInput | StoreUnavailable:
        reason = first_line(error.orig or error)
        return fault_of_query(error) or StoreUnavailable(
            f"The database {self._place} does not answer ({reason}); check --sql."
        )


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
