"""Transactions and errors: the same promises on both databases, and one clear sentence when they cannot be kept."""

import sqlite3
import sys
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
from rag.store.database import POOL_SIZE, Database
from rag.store.documents import get_document
from rag.store.index_changes import append_changes, last_change_id, lock_collection


def make_collection(database: Database, name: str = "handbooks") -> int:
    with database.write() as session:
        return get_or_create_collection(session, name, embedding_model="model").id


def names_of_collections(database: Database) -> list[str]:
    with database.read() as session:
        return [size.collection.name for size in list_collections(session)]


def test_an_error_leaves_nothing_behind(database: Database) -> None:
    def fail_after_writing() -> None:
        with database.write() as session:
            get_or_create_collection(session, "lost", embedding_model="model")
            raise KeyError

    make_collection(database, "kept")
    with pytest.raises(KeyError):
        fail_after_writing()
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
        rows = session.execute(select(tables.IndexChange.id, tables.IndexChange.passage_id)).all()
    # Each wrote down the last change that it saw: had two overlapped, one number would stand there twice.
    assert [seen for _, seen in rows] == [0, *(change_id for change_id, _ in rows[:-1])]
    assert len(rows) == 10


def test_locked_sqlite_is_reported_in_bounded_time(sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url, busy_timeout=0.05)
    other = sqlite3.connect(tmp_path / "rag.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for _ in range(20):  # more than the pool has connections: none may be lost on the way
        with pytest.raises(StoreUnavailable, match="locked by another process"), database.write():
            pytest.fail("the block ran without the lock")
    assert time.monotonic() - began < 10
    assert names_of_collections(database) == []  # readers do not wait for a writer
    other.close()
    make_collection(database)
    database.dispose()


@pytest.mark.parametrize("soon", [False, True])
def test_locked_postgresql_is_reported_in_bounded_time(postgres_copy: str, soon: bool) -> None:
    database = Database(postgres_copy, busy_timeout=0.2)
    collection_id = make_collection(database)
    with database.write() as holder:
        lock_collection(holder, collection_id)
        with pytest.raises(StoreUnavailable, match="locked by another process"), database.write(soon=soon) as session:
            lock_collection(session, collection_id)
    database.dispose()


def test_read_only_sqlite_can_be_read_but_not_written(sqlite_database: Database) -> None:
    make_collection(sqlite_database)
    database = Database(f"sqlite:///file:{sqlite_database.path}?mode=ro&uri=true")
    assert names_of_collections(database) == ["handbooks"]
    with pytest.raises(StoreUnavailable, match="is read-only; make it writable"):
        make_collection(database, "other")
    database.dispose()


def test_read_only_postgresql_can_be_read_but_not_written(postgres_copy: str) -> None:
    database = Database(postgres_copy)
    make_collection(database)
    name = postgres_copy.rsplit("/", 1)[1].split("?")[0]
    with psycopg.connect(postgres_copy.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database.dispose()
    assert names_of_collections(database) == ["handbooks"]
    with pytest.raises(StoreUnavailable, match="is read-only; make it writable"):
        make_collection(database, "other")
    database.dispose()


def test_full_disk_is_reported_and_nothing_is_half_written(sqlite_database: Database) -> None:
    def write_until_full() -> None:
        with sqlite_database.write() as session:
            session.execute(text("PRAGMA max_page_count = 1"))  # SQLite answers as it does on a full disk
            for number in range(100):
                get_or_create_collection(session, f"{number} {'long' * 1000}", embedding_model="model")

    with pytest.raises(StoreUnavailable, match="The disk that holds .* is full"):
        write_until_full()
    assert names_of_collections(sqlite_database) == []


def test_missing_file_is_reported_and_not_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'mistyped.db'}")
    with pytest.raises(StoreUnavailable, match=r"no database .*mistyped.db yet; run `rag db upgrade`"):
        names_of_collections(database)
    with pytest.raises(StoreUnavailable, match="run `rag db upgrade`"), database.write():
        pytest.fail("the block ran without a database")
    assert list(tmp_path.iterdir()) == []


def test_database_without_tables_asks_for_the_upgrade(blank_database: Database) -> None:
    with blank_database.migrate():
        pass
    with pytest.raises(StoreUnavailable, match="lacks tables .* run `rag db upgrade`"):
        names_of_collections(blank_database)


def test_folder_in_place_of_the_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened; check that the path is a file"):
        Database(f"sqlite:///{tmp_path}").ping()


def test_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("These are only notes. " * 100)
    database = Database(f"sqlite:///{tmp_path / 'notes.txt'}")
    with pytest.raises(StoreUnavailable, match=r"damaged or not a database \(file is not a database\); restore"):
        names_of_collections(database)
    database.dispose()


def test_damaged_file_is_reported(sqlite_database: Database) -> None:
    make_collection(sqlite_database)
    sqlite_database.dispose()
    assert sqlite_database.path is not None
    content = sqlite_database.path.read_bytes()
    sqlite_database.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StoreUnavailable, match="damaged or not a database"):
        names_of_collections(sqlite_database)


def test_refused_connection_is_reported_without_the_password() -> None:
    database = Database("postgresql://anna:secret@127.0.0.1:1/rag", busy_timeout=2)
    with pytest.raises(StoreUnavailable, match="does not answer .*database_url is right") as caught:
        database.ping()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_connection_lost_between_two_uses_is_replaced(postgres_copy: str) -> None:
    database = Database(postgres_copy)
    make_collection(database)
    drop_connections(postgres_copy)
    assert names_of_collections(database) == ["handbooks"]
    database.dispose()


def test_connection_lost_in_use_is_reported(postgres_copy: str) -> None:
    database = Database(postgres_copy)
    with database.read() as session:
        list_collections(session)
        drop_connections(postgres_copy)
        with pytest.raises(StoreUnavailable, match="does not answer"):
            list_collections(session)
    assert names_of_collections(database) == []
    database.dispose()


def drop_connections(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_exhausted_pool_is_reported(sqlite_url: str) -> None:
    database = Database(sqlite_url, busy_timeout=0.1)
    sessions = [database.read() for _ in range(POOL_SIZE)]
    for session in sessions:
        list_collections(session.__enter__())
    with pytest.raises(StoreUnavailable, match="All connections to the database are in use"):
        names_of_collections(database)
    for session in sessions:
        session.__exit__(None, None, None)
    assert names_of_collections(database) == []
    database.dispose()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("not a url", "is not a database URL"),
        ("", "is not a database URL"),
        ("mysql://localhost/rag", "names mysql, which is not supported"),
        ("postgresql+psycopg2://localhost/rag", "names postgresql\\+psycopg2, which is not supported"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
    ],
)
def test_unusable_url_is_refused_by_the_name_of_the_setting(url: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=f"database_url .*{words}"):
        Database(url)


def test_missing_driver_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidInput, match=r"needs the Python package psycopg; install grounded-rag\[postgres\]"):
        Database("postgresql://localhost/rag")


@pytest.mark.parametrize("value", ["a\x00b", "half \ud83d of a pair"])
def test_characters_that_one_database_cannot_keep_are_refused_by_both(database: Database, value: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be stored; remove it"):
        make_collection(database, value)
    assert names_of_collections(database) == []


def test_text_comes_back_unchanged(database: Database) -> None:
    name = "Ünïcode \N{GRINNING FACE} 'quoted\" -- \\ %s :x ;\u0301\u202e"
    make_collection(database, name)
    assert names_of_collections(database) == [name]


def test_number_beyond_64_bits_is_the_callers_fault(database: Database) -> None:
    with pytest.raises(RagError) as caught, database.read() as session:
        get_document(session, 2**70)
    assert not isinstance(caught.value, StoreUnavailable)


def test_moments_come_back_in_utc(database: Database) -> None:
    moment = datetime(2024, 2, 29, 23, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-3)))
    with database.write() as session:
        session.execute(
            insert(tables.Collection), {"name": "handbooks", "embedding_model": "model", "created_at": moment}
        )
    with database.read() as session:
        stored = session.scalars(select(tables.Collection.created_at)).one()
        assert session.scalar(select(func.count()).where(tables.Collection.created_at < moment)) == 0
    assert stored == moment
    assert stored.tzinfo is UTC


def test_copy_without_write_ahead_log_gets_one(sqlite_database: Database, tmp_path: Path) -> None:
    make_collection(sqlite_database)
    copy = tmp_path / "copy.db"
    plain = sqlite3.connect(tmp_path / "rag.db")
    plain.execute("VACUUM INTO ?", (str(copy),))
    plain.close()
    database = Database(f"sqlite:///{copy}")
    make_collection(database, "other")
    with database.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
    database.dispose()
