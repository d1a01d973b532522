"""The list of index changes: in order, complete, each collection for itself."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, insert

from rag.errors import NotFound
from rag.store.collections import get_collection_by_id, get_or_create_collection
from rag.store.database import Database, Session
from rag.store.index_changes import (
    append_changes,
    changes_after,
    last_change_id,
    lock_collection,
    moment_of_change,
)
from rag.store.tables import IndexChange


def test_changes_follow_the_last_one_seen(library: Any) -> None:
    with library.database.write() as session:
        assert last_change_id(session, library.collection_id) == 0
        append_changes(session, library.collection_id, "add", [11, 12])
        append_changes(session, library.collection_id, "remove", [11])
        append_changes(session, library.collection_id, "add", [])
        changes = changes_after(session, library.collection_id, 0, 10)
        assert [(change.operation, change.passage_id) for change in changes] == [
            ("add", 11),
            ("add", 12),
            ("remove", 11),
        ]
        assert changes_after(session, library.collection_id, 0, 1) == changes[:1]
        assert changes_after(session, library.collection_id, changes[0].id, 10) == changes[1:]
        assert changes_after(session, library.collection_id, changes[-1].id, 10) == []
        assert last_change_id(session, library.collection_id) == changes[-1].id


def test_collections_have_changes_of_their_own(library: Any) -> None:
    with library.database.write() as session:
        other = get_or_create_collection(session, "other", embedding_model="model").id
        append_changes(session, library.collection_id, "add", [1])
        append_changes(session, other, "add", [2])
        assert [change.passage_id for change in changes_after(session, other, 0, 10)] == [2]
        assert last_change_id(session, library.collection_id) < last_change_id(session, other)


def test_moment_tells_a_change_from_one_of_the_same_id_elsewhere(library: Any) -> None:
    before = datetime.now(UTC)
    with library.database.write() as session:
        append_changes(session, library.collection_id, "add", [1])
        other = get_or_create_collection(session, "other", embedding_model="model").id
        change_id = last_change_id(session, library.collection_id)
    with library.database.read() as session:
        moment = moment_of_change(session, library.collection_id, change_id)
        assert moment is not None
        assert before <= moment <= datetime.now(UTC)
        assert moment_of_change(session, other, change_id) is None
        assert moment_of_change(session, library.collection_id, 0) is None


def test_no_change_becomes_visible_after_a_later_one(library: Any) -> None:
    """The fast writer must not overtake the slow one that began first, or readers would skip the slow one's change."""
    database: Database = library.database
    slow_has_written, slow_may_commit = threading.Event(), threading.Event()

    def write(passage_id: int, *, slowly: bool) -> None:
        with database.write() as session:
            lock_collection(session, library.collection_id)
            append_changes(session, library.collection_id, "add", [passage_id])
            if slowly:
                slow_has_written.set()
                slow_may_commit.wait(10)

    slow = threading.Thread(target=write, args=(1,), kwargs={"slowly": True})
    fast = threading.Thread(target=write, args=(2,), kwargs={"slowly": False})
    slow.start()
    assert slow_has_written.wait(10)
    fast.start()
    fast.join(0.3)
    with database.read() as session:
        assert last_change_id(session, library.collection_id) == 0
    slow_may_commit.set()
    slow.join(10)
    fast.join(10)
    with database.read() as session:
        assert [change.passage_id for change in changes_after(session, library.collection_id, 0, 10)] == [1, 2]


def test_writers_that_inserted_first_do_not_block_each_other_for_ever(library: Any) -> None:
    """Inserting a row that refers to the collection must go together with another writer's lock on it."""
    both_inserted = threading.Barrier(2 if library.database.dialect == "postgresql" else 1)
    failures: list[Exception] = []

    def write(passage_id: int) -> None:
        try:
            with library.database.write() as session:
                row = {"collection_id": library.collection_id, "passage_id": passage_id, "operation": "add"}
                session.execute(insert(IndexChange), {**row, "created_at": datetime.now(UTC)})
                both_inserted.wait(10)
                lock_collection(session, library.collection_id)
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert failures == []
    with library.database.read() as session:
        assert len(changes_after(session, library.collection_id, 0, 10)) == 2


def test_unknown_collection_cannot_be_locked(database: Database) -> None:
    with database.write() as session, pytest.raises(NotFound, match="no collection with id 99"):
        lock_collection(session, 99)


def test_each_transaction_locks_and_counts_once(library: Any) -> None:
    statements: list[str] = []

    def change_twice(session: Session) -> None:
        event.listen(session.connection(), "before_cursor_execute", lambda *args: statements.append(args[2]))
        statements.clear()
        for passage_id in (11, 12):
            lock_collection(session, library.collection_id)
            append_changes(session, library.collection_id, "add", [passage_id])

    def about_collections() -> list[str]:
        return [statement.split()[0] for statement in statements if "index_changes" not in statement]

    with library.database.read() as session:
        before = get_collection_by_id(session, library.collection_id).revision
    for _ in range(2):
        with library.database.write() as session:
            change_twice(session)
            assert about_collections() == ["SELECT", "UPDATE"]
    with library.database.read() as session:
        assert get_collection_by_id(session, library.collection_id).revision == before + 2
