"""Encrypting the log anew: with the first of the keys, or not at all any more. Small batches, each one transaction.

What is as it should be is known by how it begins, so a run that was killed is simply run again, and the other
processes read meanwhile with whatever key a row has.
"""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session

from rag.records import Caller
from rag.store.audit import put_audit_event
from rag.store.database import Database
from rag.store.encryption import ENCRYPTED_BEGINNING, EncryptedText, cipher_of
from rag.store.tables import Base

BATCH_SIZE = 500


def count_stale(session: Session) -> int:
    """How many rows are not encrypted as they would be now."""
    return sum(
        session.scalar(select(func.count()).select_from(table).where(_is_stale(session, columns))) or 0
        for table, columns in _tables()
    )


def rotate_keys(database: Database, *, caller: Caller, on_progress: Callable[[int], None] = lambda _: None) -> int:
    """Encrypt what is not encrypted with the first key, and return how many rows that were.

    Where the cipher of ``database`` writes plain, everything is decrypted instead.

    Raises:
        StoreUnavailable: a row is encrypted with a key that is not there. What was done before stays done.
    """
    with database.write() as session:
        cipher = cipher_of(session.get_bind().dialect)
        put_audit_event(session, caller, "log.rotate_key", target=cipher.current or "plain")
    num_done = 0
    for table, columns in _tables():
        last: tuple[Any, ...] | None = None
        while True:
            with database.write() as session:
                last, num = _rotate_batch(session, table, columns, after=last)
            num_done += num
            on_progress(num_done)
            if num < BATCH_SIZE:
                break
    return num_done


def _rotate_batch(
    session: Session, table: Table, columns: list[Column[str]], *, after: tuple[Any, ...] | None
) -> tuple[tuple[Any, ...] | None, int]:
    key = list(table.primary_key.columns)
    wanted = [_is_stale(session, columns)]
    if after is not None:
        wanted.append(tuple_(*key) > tuple_(*after))
    # Locked: what is read here must not be anonymised before it is written again.
    statement = select(*key, *columns).where(*wanted).order_by(*key).limit(BATCH_SIZE).with_for_update()
    rows = [tuple(row) for row in session.execute(statement)]
    if not rows:
        return after, 0
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA secure_delete = ON"))  # zeros over the words that stood there
    changed = (
        update(table)
        .where(*(column == bindparam(f"key_{column.name}") for column in key))
        .values({column.name: bindparam(f"new_{column.name}") for column in columns})
    )
    names = [*(f"key_{column.name}" for column in key), *(f"new_{column.name}" for column in columns)]
    session.connection().execute(changed, [dict(zip(names, row, strict=True)) for row in rows])
    return rows[-1][: len(key)], len(rows)


def _tables() -> Iterator[tuple[Table, list[Column[str]]]]:
    """The tables that have such columns, with these."""
    for table in Base.metadata.sorted_tables:
        columns = [column for column in table.columns if isinstance(column.type, EncryptedText)]
        if columns:
            yield table, columns


def _is_stale(session: Session, columns: list[Column[str]]) -> ColumnElement[bool]:
    prefix = cipher_of(session.get_bind().dialect).prefix
    stored = [type_coerce(column, Text()) for column in columns]
    if prefix is None:
        return or_(*(one.startswith(ENCRYPTED_BEGINNING, autoescape=True) for one in stored))
    return or_(*(and_(one != "", ~one.startswith(prefix, autoescape=True)) for one in stored))
