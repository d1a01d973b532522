"""What the global options say, kept in typer's context for the commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from rag.config import Settings

if TYPE_CHECKING:
    from rag.store.database import Database


def settings_of(context: typer.Context) -> Settings:
    """The settings that the main command has read."""
    settings = context.obj
    assert isinstance(settings, Settings)
    return settings


@contextmanager
def open_database(context: typer.Context) -> Iterator["Database"]:
    """The migrated database alone, for commands that need no model.

    Raises:
        StoreUnavailable: it cannot be opened, or ``rag db upgrade`` has not been run.
    """
    from rag.store.database import Database
    from rag.store.migrate import require_current

    database = Database(settings_of(context).resolved_database_url)
    try:
        require_current(database)
        yield database
    finally:
        database.dispose()
