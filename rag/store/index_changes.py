"""The append-only list of what entered and left a collection's index. Every process replays it.

A reader asks for the changes after the last one that it has seen, so no change may become visible after a later one.
PostgreSQL hands out ids before transactions commit: a slow writer with a low id would be skipped. Therefore a writer
first locks its collection, and changes of one collection commit in the order of their ids. SQLite has one writer only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.store.table_conventions import table_of
from rag.store.tables import Collection, IndexChange

Operation = Literal["add", "remove"]

# Built once: every search asks this, and building a statement takes longer than running it.
_LAST_CHANGE_ID = select(func.max(IndexChange.id)).where(IndexChange.collection_id == bindparam("collection_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A passage entered (``add``) or left (``remove``) the index."""

    id: int
    passage_id: int
    operation: Operation


def lock_collection(session: Session, collection_id: int) -> None:
    """Wait until no other transaction changes this collection's documents, and keep others waiting until the commit.

    A session of ``Database.write`` is one transaction, and remembers that it holds the lock.

    Every function that changes documents or passages begins with this, so that writers queue up in one place and
    never in a circle. Take it before looking for duplicates, and nobody adds one between the look and the insert.

    Raises:
        NotFound: there is no such collection.
    """
    locked: set[int] = session.info.setdefault("locked_collections", set())
    if collection_id in locked:
        return
    # NO KEY UPDATE: inserting a row that refers to the collection takes a KEY SHARE lock on it. Against FOR UPDATE, two
    # writers that both inserted first would wait for each other for ever.
    statement = select(Collection.id).where(Collection.id == collection_id).with_for_update(key_share=True)
    if session.scalar(statement) is None:
        raise NotFound(f"There is no collection with id {collection_id}.")
    locked.add(collection_id)


def count_change(session: Session, collection_id: int) -> None:
    """Raise the collection's revision: whoever remembers something of its documents looks again.

    Once is enough for a transaction, of which others see all or nothing.
    """
    changed: set[int] = session.info.setdefault("changed_collections", set())
    if collection_id not in changed:
        session.execute(
            update(Collection).where(Collection.id == collection_id).values(revision=Collection.revision + 1)
        )
        changed.add(collection_id)


def append_changes(session: Session, collection_id: int, operation: Operation, passage_ids: Iterable[int]) -> None:
    """Append one change for each passage. The caller holds :func:`lock_collection`."""
    now = datetime.now(UTC)
    rows = [
        {"collection_id": collection_id, "passage_id": passage_id, "operation": operation, "created_at": now}
        for passage_id in passage_ids
    ]
    if rows:
        session.execute(insert(table_of(IndexChange)), rows)
        count_change(session, collection_id)


def last_change_id(session: Session, collection_id: int) -> int:
    """The id of the collection's newest change; 0 when there is none."""
    return session.connection().scalar(_LAST_CHANGE_ID, {"collection_id": collection_id}) or 0


def moment_of_change(session: Session, collection_id: int, change_id: int) -> datetime | None:
    """When a change of the collection was made; None where there is no such change.

    Ids are counted up in every database, so an id alone does not tell whether a change is one of this database.
    """
    statement = select(IndexChange.created_at).where(
        IndexChange.id == change_id, IndexChange.collection_id == collection_id
    )
    return session.scalar(statement)


def changes_after(session: Session, collection_id: int, change_id: int, limit: int) -> list[Change]:
    """The next ``limit`` changes of a collection after ``change_id``, oldest first."""
    statement = (
        select(IndexChange.id, IndexChange.passage_id, IndexChange.operation)
        .where(IndexChange.collection_id == collection_id, IndexChange.id > change_id)
        .order_by(IndexChange.id)
        .limit(limit)
    )
    return [
        Change(id=change.id, passage_id=change.passage_id, operation="add" if change.operation == "add" else "remove")
        for change in session.execute(statement)
    ]


def count_changes_after(session: Session, collection_id: int, change_id: int) -> int:
    """How many changes of a collection come after one."""
    wanted = (IndexChange.collection_id == collection_id, IndexChange.id > change_id)
    return session.scalar(select(func.count()).select_from(IndexChange).where(*wanted)) or 0
