"""The mark of a database that is being copied into: a table that is there from the first row to the last comparison.

It is no table of the migrations: a database that is in use never has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Column, MetaData, Table, delete, insert, inspect, literal, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.store.column_types import BigInt, PlainText, UtcDateTime
from rag.store.key_tables import AuditEvent
from rag.store.tables import Base

_MARK = Table(
    "unfinished_copy",
    MetaData(),
    Column("source", PlainText(), nullable=False),
    Column("last_event_id", BigInt, nullable=False),
    Column("begun_at", UtcDateTime(), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyMark:
    """What is being copied. Audit events above ``last_event_id`` are the target's own."""

    source: str
    last_event_id: int
    begun_at: datetime


def find_mark(session: Session) -> CopyMark | None:
    """The mark, if the database is a copy that is not whole yet."""
    if not inspect(session.connection()).has_table(_MARK.name):
        return None
    return CopyMark(**session.execute(select(_MARK)).one()._mapping)


def begin_copy(session: Session, *, source: str, last_event_id: int) -> tuple[CopyMark, bool]:
    """Mark an empty database as one that is copied into, or go on with a copy of the same source; whether it was that.

    The events that the target has of its own, of its migration say, get ids behind ``last_event_id`` of the source.

    Raises:
        InvalidInput: it holds something, or a copy of another source that was broken off.
    """
    mark = find_mark(session)
    if mark is not None and mark.source != source:
        raise InvalidInput(
            f"The target holds a copy of {mark.source} that was broken off; copy that again, or name a new database."
        )
    if mark is None:
        filled = next(_filled_tables(session), None)
        if filled is not None:
            raise InvalidInput(f"The target is not empty: there are rows in {filled}. Name a new database.")
        _MARK.create(session.connection())
        values = {"source": source, "last_event_id": 0, "begun_at": datetime.now(UTC)}
        session.execute(insert(_MARK), values)
    _move_own_events(session, before=mark.last_event_id if mark else 0, now=last_event_id)
    return CopyMark(**session.execute(select(_MARK)).one()._mapping), mark is not None


def end_copy(session: Session) -> None:
    """Take the mark away."""
    session.execute(delete(_MARK))
    _MARK.drop(session.connection())


def _filled_tables(session: Session) -> Iterator[str]:
    for table in Base.metadata.sorted_tables:
        if (
            table is not AuditEvent.__table__
            and session.execute(select(literal(1)).select_from(table).limit(1)).first()
        ):
            yield table.name


def _move_own_events(session: Session, *, before: int, now: int) -> None:
    if now <= before:
        return
    own = select(AuditEvent.id).where(AuditEvent.id > before).order_by(AuditEvent.id.desc())
    for event_id in session.scalars(own).all():  # the last one first, so that none lands on another
        session.execute(update(AuditEvent).where(AuditEvent.id == event_id).values(id=event_id - before + now))
    session.execute(update(_MARK).values(last_event_id=now))
