"""Uploads that are worked on in the background: what waits, and how often it was tried."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from rag.records import Caller
from rag.store import tables

EVERYTHING = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledFile:
    """A file that was uploaded and lies in the folder ``spool`` under a name that was made for it."""

    spool: str
    spool_file: str
    file_sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingUpload:
    """An upload that is to be worked on; ``name`` is what its sender calls it, ``labels`` what they say of it."""

    run_id: int
    collection: str
    spooled: SpooledFile
    name: str
    labels: Mapping[str, Any]
    num_attempts: int


def seers_of(caller: Caller) -> str:
    """The same text for callers who see the same."""
    return EVERYTHING if caller.access_labels is None else json.dumps(sorted(caller.access_labels))


def put_upload(
    session: Session, run_id: int, spooled: SpooledFile, *, name: str, labels: Mapping[str, Any], caller: Caller
) -> None:
    """Note that a file waits to be worked on by a run."""
    session.add(
        tables.Upload(
            run_id=run_id,
            spool=spooled.spool,
            spool_file=spooled.spool_file,
            file_sha256=spooled.file_sha256,
            num_bytes=spooled.num_bytes,
            name=name,
            labels=dict(labels),
            visible_to=seers_of(caller),
            num_attempts=0,
            created_at=datetime.now(UTC),
        )
    )
    session.flush()


def next_upload(session: Session, spool: str) -> WaitingUpload | None:
    """The oldest upload that waits in this folder; None when none does."""
    statement = (
        select(tables.Upload, tables.Collection.name)
        .join(tables.IngestionRun, tables.IngestionRun.id == tables.Upload.run_id)
        .join(tables.Collection, tables.Collection.id == tables.IngestionRun.collection_id)
        .where(tables.Upload.spool == spool, tables.Upload.spool_file.is_not(None))
        .order_by(tables.Upload.run_id)
        .limit(1)
    )
    found = session.execute(statement).one_or_none()
    if found is None:
        return None
    row, collection = found
    return WaitingUpload(
        run_id=row.run_id,
        collection=collection,
        spooled=SpooledFile(
            spool=row.spool, spool_file=row.spool_file or "", file_sha256=row.file_sha256, num_bytes=row.num_bytes
        ),
        name=row.name,
        labels=row.labels,
        num_attempts=row.num_attempts,
    )


def count_attempt(session: Session, run_id: int) -> None:
    """Note, before it begins, that an upload is worked on: one that kills the server must not do so for ever."""
    session.execute(
        update(tables.Upload).where(tables.Upload.run_id == run_id).values(num_attempts=tables.Upload.num_attempts + 1)
    )


def forgive_attempt(session: Session, run_id: int) -> None:
    """Take an attempt back that failed for no fault of the file."""
    session.execute(
        update(tables.Upload)
        .where(tables.Upload.run_id == run_id, tables.Upload.num_attempts > 0)
        .values(num_attempts=tables.Upload.num_attempts - 1)
    )


def end_upload(session: Session, run_id: int) -> None:
    """Note that an upload is done with, well or not."""
    session.execute(update(tables.Upload).where(tables.Upload.run_id == run_id).values(spool_file=None))


def waiting_files(session: Session, spool: str) -> set[str]:
    """The files of a folder that are still needed."""
    statement = select(tables.Upload.spool_file).where(
        tables.Upload.spool == spool, tables.Upload.spool_file.is_not(None)
    )
    return {name for name in session.scalars(statement) if name is not None}


def count_waiting(session: Session) -> int:
    """How many uploads wait or are in work, in all folders."""
    statement = select(func.count()).select_from(tables.Upload).where(tables.Upload.spool_file.is_not(None))
    return session.scalar(statement) or 0
