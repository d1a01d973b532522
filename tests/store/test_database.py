"""Transactions and errors: the same promises on both databases, and one clear sentence when they cannot be kept."""

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError

from rag.errors import InvalidInput, RagError, StoreUnavailable
from rag.store import tables
from rag.store.collections import get_or_create_collection, list_collections
from rag.store.database import Database
from rag.store.documents import get_document
from rag.store.index_changes import append_changes, last_change_id, lock_collection


def make_collection(database: Database, name: str = "handbooks") -> int:
    with database.write() as session:
        return get_or_create_collection(session, name, embedding_model="model").id


def names_of_collections(database: Database) -> list[str]:
    with database.read() as session:
        return [size.collection.name for size in list_collections(session)]


def test_an_error_leaves_nothing_behind(database: Database) -> None:
    make_collection(database, "kept")
    with pytest.raises(KeyError), database.write() as session:
        get_or_create_collection(session, "lost", embedding_model="model")
        raise KeyError
    assert names_of_collections(database) == ["kept"]


def test_reading_sees_one_snapshot(database: Database) -> None:
    with database.read() as session:
        assert list_collections(session) == []
        make_collection(database)
        assert list_collections(session) == []
    assert names_of_collections(database) == ["handbooks"]


def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"), database.read() as session:
        get_or_create_collection(session, "handbooks", embedding_model="model")
    assert make_collection(database) == 1


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (tables.IngestionFailure, {"run_id": 99, "source": "s", "reason": "r"}),
        (tables.Feedback, {"answer_id": 99, "rating": 1}),
        (tables.PassageEmbedding, {"passage_id": 99, "embedding_model": "m", "vector": b""}),
    ],
)
def test_foreign_keys_are_enforced(database: Database, table: type[tables.Base], values: dict[str, object]) -> None:
    if "created_at" in table.__table__.columns:
        values = {**values, "created_at": datetime.now(UTC)}
    with pytest.raises(IntegrityError, match="(?i)foreign key"), database.write() as session:
        session.execute(insert(table), values)


def test_ids_are_never_used_twice(database: Database) -> None:
    collection_id = make_collection(database)
    with database.write() as session:
        append_changes(session, collection_id, "add", [7])
        first = last_change_id(session, collection_id)
    with database.write() as session:
        session.execute(text("DELETE FROM index_changes"))
    with database.write() as session:
        append_changes(session, collection_id, "add", [7])
        assert last_change_id(session, collection_id) > first


def test_two_writers_wait_for_each_other(database: Database) -> None:
    collection_id = make_collection(database)

    def work() -> None:
        for _ in range(5):
            with database.write() as session:
                lock_collection(session, collection_id)
                seen = last_change_id(session, collection_id)
                time.sleep(0.01)
                append_changes(session, collection_id, "add", [seen])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    with database.read() as session:
        rows = session.execute(select(tables.IndexChange.id, tables.IndexChange.passage_id)).tuples().all()
    # Each wrote down the last change that it saw: had two overlapped, one number would stand there twice.
    assert [seen for _, seen in rows] == [0, *(change_id for change_id, _ in rows[:-1])]
    assert len(rows) == 10


def test_locked_sqlite_is_reported_in_bounded_time(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url, busy_timeout=0.2)
    other = sqlite3.connect(tmp_path / "rag.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(20):  # more than there are connections: none may be lost on the way
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="locked by another process"), database.write():
            pytest.fail("the block ran without the lock")
        assert time.monotonic() - began < 2
        if database._engine.pool.status().count("Overflow: -4"):
            break
    assert names_of_collections(database) == []  # readers do not wait for a writer
    other.close()
    make_collection(database)
    database.dispose()
