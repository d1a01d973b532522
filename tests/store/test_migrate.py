"""The migrations: blank to head and back, the same on both databases."""

import pytest

from rag.store import migrate
from rag.store.database import Database


def test_upgrade_from_blank_reaches_the_models(blank_database: Database) -> None:
    migrate.upgrade(blank_database)
    assert migrate.current_revision(blank_database) == migrate.head_revision()
    assert migrate.check(blank_database) == []
