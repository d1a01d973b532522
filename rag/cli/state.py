"""What the global options say, kept in typer's context for the commands."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from rag.config import Settings
from rag.records import Caller

if TYPE_CHECKING:
    from rag.store.database import Database


def settings_of(context: typer.Context) -> Settings:
    """The settings that the main command has read."""
    settings = context.obj
    assert isinstance(settings, Settings)
    return settings


def operator() -> Caller:
    """Who is at the command line, for the audit: whoever holds the database, named as the operating system does."""
    number = os.getuid()
    try:
        return Caller(os_user=pwd.getpwuid(number).pw_name)
    except KeyError:  # a container may run as a user without a name
        return Caller(os_user=str(number))


@contextmanager
def open_database(context: typer.Context, *, writes_plain: bool = False) -> Iterator["Database"]:
    """The migrated database alone, for commands that need no model; ``writes_plain`` as in ``rag.store.opening``.

    Raises:
        StoreUnavailable: it cannot be opened, or ``rag db upgrade`` has not been run.
    """
    from rag.store import opening
    from rag.store.migrate import require_current

    database = opening.open_database(settings_of(context), writes_plain=writes_plain)
    try:
        require_current(database)
        opening.require_keys(database)
        yield database
    finally:
        database.dispose()
