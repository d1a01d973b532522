"""Bringing a database to the schema that this program needs, with Alembic.

The migrations lie beside the package in a checkout and inside it (``rag/_migrations``) when installed.
"""

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Connection

from rag.errors import InvalidInput, StoreUnavailable
from rag.store.copy_mark import find_mark
from rag.store.database import Database
from rag.store.tables import Base

PACKAGE = Path(__file__).parents[1]


def upgrade(database: Database, revision: str = "head") -> str | None:
    """Run the migrations up to ``revision`` in one transaction, and return what it was before; None: nothing.

    A missing SQLite file is made.

    Raises:
        InvalidInput: there is no such revision.
        StoreUnavailable: the database cannot be reached or written, or a newer program has upgraded it.
    """
    _require_revision(revision)
    with database.migrate() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
        _require_known(database, before)
        command.upgrade(_config(connection), revision)
    return before


def downgrade(database: Database, revision: str) -> None:
    """Undo the migrations after ``revision``; ``base`` undoes all of them, with everything that was stored.

    Raises:
        InvalidInput: there is no such revision.
        StoreUnavailable: the database cannot be reached or written, or a newer program has upgraded it.
    """
    _require_revision(revision)
    with database.migrate() as connection:
        _require_known(database, MigrationContext.configure(connection).get_current_revision())
        command.downgrade(_config(connection), revision)


def current_revision(database: Database) -> str | None:
    """The revision that the database is at; None before the first migration.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    with database.read() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


@cache
def head_revision() -> str:
    """The revision that this program needs."""
    head = _scripts().get_current_head()
    assert head is not None, "the package was built without its migrations"
    return head


def check(database: Database) -> list[str]:
    """What differs between the database and the tables of this program; empty when nothing does.

    Alembic compares tables, columns, types, keys and indexes, but neither check constraints nor views.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    with database.read() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": compare_default}
        )
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]


def compare_default(_context: Any, _inspected: Any, column: Any, found: str | None, *_: Any) -> bool | None:
    """Whether a column's default differs from its model's; None where Alembic can tell by itself.

    PostgreSQL knows no equality of JSON, which Alembic would ask it for.
    """
    if not isinstance(column.type, JSON):
        return None
    wanted = None if column.server_default is None else str(column.server_default.arg)
    return wanted != (None if found is None else found.removesuffix("::json").strip("'"))


def require_current(database: Database) -> None:
    """Make sure that the database has the schema of this program.

    Raises:
        StoreUnavailable: it has an older one, a newer one or none, is a copy that is not whole yet, or cannot be
            reached.
    """
    require_revision(database)
    with database.read() as session:
        mark = find_mark(session)
    if mark is not None:
        raise StoreUnavailable(
            f"The database {database} is a copy of {mark.source} that is not whole; run `rag db copy` again."
        )


def require_revision(database: Database) -> None:
    """Make sure that the database has the revision of this program, be it a whole copy or not.

    Raises:
        StoreUnavailable: it has an older one, a newer one or none, or cannot be reached.
    """
    current, head = current_revision(database), head_revision()
    if current == head:
        return
    if current is None:
        raise StoreUnavailable(f"The database {database} has no tables yet; run `rag db upgrade`.")
    _require_known(database, current)
    raise StoreUnavailable(
        f"The database {database} is at revision {current} but this program needs {head}; run `rag db upgrade`."
    )


def is_known_revision(revision: str) -> bool:
    """Whether this program can work with a database of that revision, upgraded where it must be."""
    return revision in _known_revisions()


def _require_revision(revision: str) -> None:
    if revision not in {"head", "base"} | _known_revisions():
        raise InvalidInput(f"There is no revision {revision!r}; the newest is {head_revision()}.")


def _require_known(database: Database, current: str | None) -> None:
    if current is not None and current not in _known_revisions():
        raise StoreUnavailable(
            f"The database {database} is at revision {current}, which a newer version of this program made; upgrade "
            "this program."
        )


@cache
def _known_revisions() -> frozenset[str]:
    return frozenset(script.revision for script in _scripts().walk_revisions())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    installed = PACKAGE / "_migrations"
    folder = installed if installed.is_dir() else PACKAGE.parent / "migrations"
    # Alembic reads its options as configparser does, where a percent sign begins a variable.
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
