"""Ingestion runs: what was tried, what was refused and exactly why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.store import tables

RunStatus = Literal["running", "finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """What became of the documents of a run. ``num_passages`` counts the passages that were written."""

    num_added: int = 0
    num_updated: int = 0
    num_unchanged: int = 0
    num_exact_duplicates: int = 0
    num_near_duplicates: int = 0
    num_refused: int = 0
    num_removed: int = 0
    num_passages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A document that was refused, and why."""

    source: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One call of the ingestion command. ``finished_at`` is None as long as it runs."""

    id: int
    collection_id: int
    paths: tuple[str, ...]
    status: str
    counts: RunCounts
    started_at: datetime
    finished_at: datetime | None


def start_run(session: Session, collection_id: int, *, paths: Sequence[str]) -> int:
    """Log that a run has begun, and return its id."""
    row = tables.IngestionRun(
        collection_id=collection_id,
        paths=list(paths),
        status="running",
        started_at=datetime.now(UTC),
        **asdict(RunCounts()),
    )
    session.add(row)
    session.flush()
    return row.id


def add_failure(session: Session, run_id: int, *, source: str, reason: str) -> None:
    """Log a document that the run refused."""
    session.execute(
        insert(tables.IngestionFailure),
        {"run_id": run_id, "source": source, "reason": reason, "created_at": datetime.now(UTC)},
    )


def finish_run(
    session: Session,
    run_id: int,
    *,
    status: Literal["finished", "failed", "interrupted"],
    counts: RunCounts,
) -> None:
    """Log how a run ended.

    Raises:
        NotFound: there is no such run.
    """
    updated = session.scalars(
        update(tables.IngestionRun)
        .where(tables.IngestionRun.id == run_id)
        .values(status=status, finished_at=datetime.now(UTC), **asdict(counts))
        .returning(tables.IngestionRun.id)
    ).all()
    if not updated:
        raise NotFound(f"There is no ingestion run {run_id}.")


def mark_interrupted(session: Session, collection_id: int) -> int:
    """Close the runs that were killed before they could: ``running`` becomes ``interrupted``. Returns how many.

    Only a caller that knows that no other run is alive may call this.
    """
    updated = session.scalars(
        update(tables.IngestionRun)
        .where(tables.IngestionRun.collection_id == collection_id, tables.IngestionRun.status == "running")
        .values(status="interrupted", finished_at=datetime.now(UTC))
        .returning(tables.IngestionRun.id)
    ).all()
    return len(updated)


def get_run(session: Session, run_id: int) -> RunRecord:
    """One run.

    Raises:
        NotFound: there is no such run.
    """
    row = session.get(tables.IngestionRun, run_id)
    if row is None:
        raise NotFound(f"There is no ingestion run {run_id}.")
    return _record(row)


def list_runs(
    session: Session, *, collection_id: int | None = None, before_id: int | None = None, limit: int = 50
) -> list[RunRecord]:
    """Runs, newest first; of one collection if given. ``before_id`` continues after the last one of a page."""
    statement = select(tables.IngestionRun).order_by(tables.IngestionRun.id.desc()).limit(limit)
    if collection_id is not None:
        statement = statement.where(tables.IngestionRun.collection_id == collection_id)
    if before_id is not None:
        statement = statement.where(tables.IngestionRun.id < before_id)
    return [_record(row) for row in session.scalars(statement)]


def list_failures(session: Session, run_id: int) -> list[Failure]:
    """What a run refused, in the order in which it happened."""
    statement = (
        select(tables.IngestionFailure)
        .where(tables.IngestionFailure.run_id == run_id)
        .order_by(tables.IngestionFailure.id)
    )
    return [
        Failure(source=row.source, reason=row.reason, created_at=row.created_at) for row in session.scalars(statement)
    ]


def _record(row: tables.IngestionRun) -> RunRecord:
    return RunRecord(
        id=row.id,
        collection_id=row.collection_id,
        paths=tuple(row.paths),
        status=row.status,
        counts=RunCounts(**{name: getattr(row, name) for name in RunCounts.__dataclass_fields__}),
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
