"""Ingestion runs as those see them who follow one: who may see which, and whether it has begun.

Runs name files, so they are for those who see all documents; a run of an upload is also for callers of the same access
labels as its sender.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.records import OWNER, Caller
from rag.store import tables
from rag.store.access import collections_open_to
from rag.store.runs import Failure, RunRecord, list_failures, run_record
from rag.store.uploads import seers_of

FollowedStatus = Literal["waiting", "running", "finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedRun:
    """A run with the name of its collection. ``status`` is ``waiting`` for an upload that nobody works on yet."""

    run: RunRecord
    collection: str
    status: FollowedStatus


def get_followed_run(session: Session, run_id: int, *, caller: Caller = OWNER) -> FollowedRun:
    """One run.

    Raises:
        NotFound: there is no such run, or ``caller`` may not know of it.
    """
    found = _select(session, [tables.IngestionRun.id == run_id, *_open_to(caller)], limit=1)
    if not found:
        raise NotFound(f"There is no ingestion run {run_id}.")
    return found[0]


def list_followed_runs(
    session: Session,
    *,
    collection_id: int | None = None,
    before_id: int | None = None,
    limit: int = 50,
    caller: Caller = OWNER,
) -> list[FollowedRun]:
    """The runs that ``caller`` may know of, newest first. ``before_id`` continues after the last one of a page."""
    wanted = _open_to(caller)
    if collection_id is not None:
        wanted.append(tables.IngestionRun.collection_id == collection_id)
    if before_id is not None:
        wanted.append(tables.IngestionRun.id < before_id)
    return _select(session, wanted, limit=limit)


def list_followed_failures(
    session: Session, run_id: int, *, after_id: int = 0, limit: int = 100, caller: Caller = OWNER
) -> list[Failure]:
    """What a run refused, in the order in which it happened.

    Raises:
        NotFound: as in :func:`get_followed_run`.
    """
    get_followed_run(session, run_id, caller=caller)
    return list_failures(session, run_id, after_id=after_id, limit=limit)


def _open_to(caller: Caller) -> list[ColumnElement[bool]]:
    wanted = collections_open_to(caller)
    if caller.access_labels is not None:
        wanted.append(tables.Upload.visible_to == seers_of(caller))
    return wanted


def _select(session: Session, wanted: Sequence[ColumnElement[bool]], *, limit: int) -> list[FollowedRun]:
    upload = tables.Upload
    statement = (
        select(tables.IngestionRun, tables.Collection.name, upload.spool_file, upload.num_attempts)
        .join(tables.Collection, tables.Collection.id == tables.IngestionRun.collection_id)
        .outerjoin(upload, upload.run_id == tables.IngestionRun.id)
        .where(*wanted)
        .order_by(tables.IngestionRun.id.desc())
        .limit(limit)
    )
    return [
        FollowedRun(
            run=run_record(row),
            collection=collection,
            status=_status(row.status, is_waiting=bool(spool_file) and not num_attempts),
        )
        for row, collection, spool_file, num_attempts in session.execute(statement)
    ]


def _status(status: str, *, is_waiting: bool) -> FollowedStatus:
    return "waiting" if status == "running" and is_waiting else cast(FollowedStatus, status)
