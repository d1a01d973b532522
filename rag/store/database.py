"""The connection to the database: one snapshot for reading, one transaction for writing, on SQLite and PostgreSQL.

Knows nothing of what the tables mean.
"""

import fcntl
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, Engine, create_engine, event, literal_column, make_url, text
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from rag.errors import Busy, InvalidInput, StoreUnavailable
from rag.store.database_errors import READ_ONLY, translate
from rag.store.encryption import PLAIN, LogCipher, cipher_of, use_cipher

DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_WRITER = "rag_writer"
_FILE = "rag_file"
_LOCK_POLL_S = 0.2
_SOON = text("SELECT set_config('statement_timeout', :statement, true), set_config('lock_timeout', :lock, true)")
POOL_SIZE = 24
"""Connections that a process opens at most: as many threads search or answer at once."""

__all__ = ["Database", "Session"]


class Database:
    """A database and its pool of connections. Safe to share between threads; nothing is opened before the first use.

    ``busy_timeout`` is how many seconds to wait for another process's lock, for a free connection and for a server.
    """

    def __init__(self, url: str, *, busy_timeout: float = 10.0, cipher: LogCipher = PLAIN) -> None:
        """Prepare a pool for an SQLAlchemy URL; ``cipher`` encrypts the columns of the log that hold words.

        Raises:
            InvalidInput: ``database_url`` is no such URL, names another database system, or its driver is missing.
        """
        self._url = _parse(url)
        self._busy_timeout = busy_timeout
        self.dialect: str = self._url.get_backend_name()
        self.path: Path | None = _sqlite_path(self._url) if self.dialect == "sqlite" else None
        self._engine = self._create_engine()
        use_cipher(self._engine.dialect, cipher)
        self._writer = self._engine.execution_options(**{_WRITER: True})

    @property
    def encrypts(self) -> bool:
        """Whether there are keys for the log, so that the database cannot search its words."""
        return cipher_of(self._engine.dialect).has_keys

    @property
    def url(self) -> URL:
        """The database's URL with its password, so not for messages."""
        return self._url

    @cached_property
    def place(self) -> str:
        """Where the database lies; without a password, which a URL may also have among its options."""
        if self.path is not None:
            return str(self.path.resolve())
        options = {name: value for name, value in self._url.query.items() if name in ("host", "hostaddr", "port")}
        return self._url.set(password=None, query=options).render_as_string()

    def __str__(self) -> str:
        """How messages call this database; without its password."""
        return str(self.path or self._url.set(query={}).render_as_string(hide_password=True))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot of the database and cannot change it.

        Raises:
            StoreUnavailable: the database cannot be reached, is damaged or has no tables.
        """
        with self._session(self._engine) as session:
            yield session

    @contextmanager
    def write(self, *, soon: bool = False) -> Iterator[Session]:
        """A session whose changes are committed together at the end, or not at all when an error leaves the block.

        On SQLite the block begins once every other writer has ended. ``soon`` also bounds what PostgreSQL takes for
        each statement by ``busy_timeout``: for a few rows that somebody waits for.

        Raises:
            StoreUnavailable: as in :meth:`read`, or the database is locked or read-only, or the disk is full.
        """
        with self._session(self._writer) as session, session.begin():
            connection = session.connection()  # begin now, not with the first statement
            if soon and self.dialect == "postgresql":
                # A little less for a lock: where that is what took the time, the error shall say so.
                limits = {"statement": self._busy_timeout, "lock": 0.9 * self._busy_timeout}
                connection.execute(_SOON, {name: f"{round(s * 1000)}ms" for name, s in limits.items()})
            yield session

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """A bare connection in one write transaction, for changes of the schema. An SQLite file is made if absent.

        Raises:
            StoreUnavailable: as in :meth:`write`, or the file or its folder cannot be made.
        """
        if self.path is not None:
            _make_file(self.path)
        with self._writer.begin() as connection:
            if self.dialect == "postgresql":
                # Two processes that upgrade at once: the second waits here, then finds nothing left to do.
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rag.store.migrate'))"))
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A bare connection whose statements are each committed at once, for those that no transaction may hold.

        Raises:
            StoreUnavailable: as in :meth:`write`.
        """
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    @contextmanager
    def exclusive(
        self,
        name: str,
        *,
        wait: bool = True,
        wait_s: float = math.inf,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Iterator[None]:
        """Hold a lock of that name, which one process at a time can have; it is free again when the process is killed.

        It keeps no transaction from anything. ``on_wait`` is called once where another process has it.

        Raises:
            Busy: another process has it and ``wait`` is false, or it had it for ``wait_s`` seconds.
        """
        with self._file_lock(name) if self.path is not None else self._advisory_lock(name) as attempt:
            if not attempt():
                busy = Busy(f"Another process is at work on {name} of {self}; try again when it is done.")
                if not wait:
                    raise busy
                on_wait()
                until = time.monotonic() + wait_s
                while not attempt():
                    if time.monotonic() >= until:
                        raise busy
                    time.sleep(_LOCK_POLL_S)
            yield

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            StoreUnavailable: there is none.
        """
        with self.read() as session:
            session.execute(text("SELECT 1"))

    def require_writable(self) -> None:
        """Make sure that a transaction could write now.

        Raises:
            StoreUnavailable: another process keeps the database locked, or it is read-only or does not answer.
        """
        with self.write(soon=True) as session:
            if self.dialect == "postgresql" and session.scalar(text("SHOW transaction_read_only")) == "on":
                raise StoreUnavailable(READ_ONLY.format(name=self))

    def dispose(self) -> None:
        """Close the pool's connections. The database can be used again afterwards."""
        self._engine.dispose()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False, autoflush=False) as session:
                yield session
        except PoolTimeoutError as error:
            raise StoreUnavailable("All connections to the database are in use; try again.") from error

    @contextmanager
    def _file_lock(self, name: str) -> Iterator[Callable[[], bool]]:
        assert self.path is not None
        # Beside the database and never deleted: two processes must come upon the same file.
        path = self.path.with_name(f"{self.path.name}.{name}.lock")
        with path.open("ab") as file:

            def attempt() -> bool:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            yield attempt

    @contextmanager
    def _advisory_lock(self, name: str) -> Iterator[Callable[[], bool]]:
        # On a connection of its own: the lock is the connection's, and goes with it.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wanted = {"name": name}

            def attempt() -> bool:
                return bool(connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), wanted))

            try:
                yield attempt
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), wanted)

    def _create_engine(self) -> Engine:
        sqlite = self.dialect == "sqlite"
        try:
            engine = create_engine(
                self._url,
                pool_size=POOL_SIZE,
                max_overflow=0,
                pool_timeout=self._busy_timeout,
                pool_pre_ping=not sqlite,
                hide_parameters=True,  # what people ask must not come into a log with an error's message
                connect_args=(
                    {"timeout": self._busy_timeout}
                    if sqlite
                    else {
                        "connect_timeout": max(2, round(self._busy_timeout)),  # libpq knows no shorter wait
                        "tcp_user_timeout": max(2_000, round(self._busy_timeout * 1000)),
                    }
                ),
                # NaN is not JSON, and PostgreSQL refuses it.
                json_serializer=partial(json.dumps, ensure_ascii=False, allow_nan=False),
            )
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"database_url needs the Python package {error.name}; install grounded-rag[postgres]."
            ) from error
        event.listen(engine, "handle_error", self._raise_translated)
        if sqlite:
            event.listen(engine, "do_connect", self._require_file)
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "connect", self._note_file)
            event.listen(engine, "checkout", self._require_same_file)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            event.listen(engine, "begin", self._begin_postgresql)
        return engine

    def _raise_translated(self, context: ExceptionContext) -> None:
        translated = translate(
            context.original_exception, sqlalchemy_error=context.sqlalchemy_exception, name=str(self)
        )
        if translated is not None and not context.is_pre_ping:
            raise translated from context.original_exception

    def _require_file(self, *_: Any) -> None:
        # SQLite would quietly make an empty database of a mistyped path.
        if self.path is not None and not os.path.exists(self.path):
            raise StoreUnavailable(f"There is no database {self.path} yet; run `rag db upgrade`.")

    def _note_file(self, _: Any, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = self._file_id()

    def _require_same_file(self, _: Any, record: ConnectionPoolEntry, *__: Any) -> None:
        # A connection goes on with a file that was removed or replaced, and what it writes there is lost.
        file_id = self._file_id()
        if file_id is None:
            record.invalidate()
        self._require_file()
        if file_id != record.info.get(_FILE):
            raise DisconnectionError("the file is another one")

    def _file_id(self) -> tuple[int, int] | None:
        assert self.path is not None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _begin_postgresql(self, connection: Connection) -> None:
        if connection.get_execution_options().get(_WRITER):
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(self._busy_timeout * 1000)}")
        else:
            # The same promise as SQLite's: one snapshot for the whole transaction, and no writing in it.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def insert_if_absent(session: Session, table: Any, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one of its key is there, which another process may have put there meanwhile.

    Returns whether it was inserted.
    """
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
    statement: Any = insert(table).on_conflict_do_nothing().returning(literal_column("1"))
    return session.connection().execute(statement, dict(row)).first() is not None


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("database_url is not a database URL; write for example sqlite:////data/rag.db.") from error
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise InvalidInput(
            f"database_url names {parsed.drivername}, which is not supported; use sqlite or postgresql+psycopg."
        )
    return parsed.set(drivername=driver)


def _sqlite_path(url: URL) -> Path:
    name = url.database or ""
    if name.startswith("file:"):  # https://www.sqlite.org/uri.html
        name = unquote(urlsplit(name).path)
    if not name or ":memory:" in name or url.query.get("mode") == "memory":
        raise InvalidInput("database_url names a database in memory, which would be lost at once; name a file.")
    return Path(name)


def _make_file(path: Path) -> None:
    if os.path.exists(path):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise StoreUnavailable(
            f"The database {path} cannot be made ({error.strerror}); change data_dir, database_url or the folder."
        ) from error


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # Python's own transaction control begins late and never IMMEDIATE; see _begin_sqlite.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # FULL, because NORMAL forgets the last commits when the power fails. Ids handed out by them would then be handed
    # out again, and an index snapshot would claim changes that never happened.
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    writing = bool(connection.get_execution_options().get(_WRITER))
    if connection.info.get(_WRITER) != writing:  # every search begins several transactions; most change nothing here
        connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writing else 'ON'}")
        connection.info[_WRITER] = writing
    if writing:
        # Persistent, so nearly always a no-op; but a database copied with VACUUM INTO comes without it.
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        # A transaction that begins by reading and then wants to write fails at once when another has written in
        # between. One that takes the write lock first waits for its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")
