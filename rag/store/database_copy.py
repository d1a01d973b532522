"""A whole database as one file, taken while others write, and put back. PostgreSQL's own programs do it for theirs."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import inspect

from rag.disk import flush
from rag.errors import InvalidInput, StoreUnavailable
from rag.store.database import Database

SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database; left from another one, they would be read into the new one."""


def copy_database(database: Database, target: Path) -> None:
    """Write all of a database, as of one moment, to a new file. Writers are not kept waiting.

    Raises:
        InvalidInput: PostgreSQL's program ``pg_dump`` is not on this machine.
        StoreUnavailable: the database does not answer, or the copy is damaged.
    """
    if database.path is None:
        _run_program("pg_dump", database, ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"])
        return
    try:
        place = f"{database.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(place, uri=True)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The database {database} cannot be copied ({error}).") from error
    if found != "ok":
        raise StoreUnavailable(f"The database {database} is damaged ({found}); restore an older backup.")


def is_empty(database: Database) -> bool:
    """Whether there is nothing that a restored database would replace."""
    if database.path is not None:
        return not database.path.exists()
    with database.read() as session:
        return not inspect(session.connection()).get_table_names()


def put_database(database: Database, copy: Path) -> None:
    """Replace a database by a copy of :func:`copy_database`, all or nothing. Nobody else may use it meanwhile.

    Raises:
        InvalidInput: PostgreSQL's program ``pg_restore`` is not on this machine.
        StoreUnavailable: it cannot be written.
    """
    if database.path is None:
        database.dispose()
        _run_program(
            "pg_restore",
            database,
            ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", str(copy)],
        )
        return
    try:
        database.path.parent.mkdir(parents=True, exist_ok=True)
        new = database.path.with_name(f"{database.path.name}.restoring")
        shutil.copyfile(copy, new)
        flush(new)
        database.dispose()
        for suffix in SIDE_FILES:
            database.path.with_name(f"{database.path.name}{suffix}").unlink(missing_ok=True)
        new.replace(database.path)
    except OSError as error:
        raise StoreUnavailable(f"The database {database} cannot be written ({error.strerror}).") from error


def _run_program(name: str, database: Database, arguments: list[str]) -> None:
    program = shutil.which(name)
    if program is None:
        raise InvalidInput(
            f"{name} is not on this machine; install PostgreSQL's client programs, or run this where they are."
        )
    with _connection_string(database) as place:
        done = subprocess.run([program, f"--dbname={place}", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = next((line for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}")
        raise StoreUnavailable(f"{name} failed for {database}: {reason.strip().rstrip('.')}.")


@contextmanager
def _connection_string(database: Database) -> Iterator[str]:
    """What libpq's programs connect by; the password is in a file, where no list of processes shows it."""
    url = database.url
    values = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database, **url.query}
    with tempfile.TemporaryDirectory() as folder:
        if url.password:
            escaped = str(url.password).replace("\\", "\\\\").replace(":", "\\:")
            passfile = Path(folder) / "pgpass"
            passfile.touch(mode=0o600)
            passfile.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
            values["passfile"] = str(passfile)
        quoted = {name: str(value).replace("\\", "\\\\").replace("'", "\\'") for name, value in values.items() if value}
        yield " ".join(f"{name}='{value}'" for name, value in quoted.items())
