"""The kinds of storage that tests run on, and another process that writes and does not end."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from rag.store.database import Database

STORAGES = ("sqlite", "postgresql")
Storage = dict[str, str]
"""Settings that say where documents lie and where they are searched: SQLite with the search in each process, PostgreSQL
with the search inside it."""
NewStorage = Callable[[Path], AbstractContextManager[Storage]]
"""Makes a storage; whatever is a file of it lies in the folder."""


def storages_for(test: pytest.Item, wanted: str | None) -> list[Any]:
    """The kinds of storage that a test runs on, where ``wanted`` is the one that was asked for, as its parameters."""
    if marker := test.get_closest_marker("on_sqlite"):
        skipped = pytest.mark.skipif(wanted == "postgresql", reason=marker.args[0])
        return [pytest.param("sqlite", marks=skipped)]
    if wanted is not None:
        return [wanted]
    return list(STORAGES) if test.get_closest_marker("on_both") else ["sqlite"]


@contextmanager
def writing_elsewhere(url: str) -> Iterator[None]:
    """Let everything be read and nothing be written: SQLite has one writer, and on PostgreSQL all tables are locked."""
    database = Database(url)
    with database.write() as session:
        if database.dialect == "postgresql":
            tables = inspect(session.connection()).get_table_names()
            session.execute(text(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE"))
        yield
    database.dispose()
