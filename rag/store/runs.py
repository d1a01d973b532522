"""Ingestion runs: what was tried, what was refused and exactly why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.store import tables

RunStatus = Literal["running", "finished", "failed", "interrupted"]
FileStatus = Literal["waiting", "read", "partly read", "unchanged", "refused"]
FILES_PER_STATEMENT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """What became of the documents of a run. ``num_passages`` counts the passages that were written.

    Of these ``num_passages_reused`` took over the vector of the same text instead of being embedded.
    """

    num_added: int = 0
    num_updated: int = 0
    num_unchanged: int = 0
    num_exact_duplicates: int = 0
    num_near_duplicates: int = 0
    num_refused: int = 0
    num_removed: int = 0
    num_moved: int = 0
    num_passages: int = 0
    num_passages_reused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A document that was refused, and why."""

    id: int
    source: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One call of the ingestion command. ``finished_at`` is None as long as it runs.

    ``options`` are those of a run over files, with which it can be run again; None for uploads and single removals.
    """

    id: int
    collection_id: int
    paths: tuple[str, ...]
    status: str
    counts: RunCounts
    options: Mapping[str, Any] | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What became of a file in a run; ``reason`` says why it was refused, or what of it was lost."""

    file: str
    status: FileStatus
    num_documents: int = 0
    reason: str | None = None


def start_run(
    session: Session, collection_id: int, *, paths: Sequence[str], options: Mapping[str, Any] | None = None
) -> int:
    """Log that a run has begun, and return its id."""
    row = tables.IngestionRun(
        collection_id=collection_id,
        paths=list(paths),
        status="running",
        options=None if options is None else dict(options),
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


def fail_run(session: Session, run_id: int) -> None:
    """Close a run that cannot go on, unless it has ended; what it has counted stays."""
    session.execute(
        update(tables.IngestionRun)
        .where(tables.IngestionRun.id == run_id, tables.IngestionRun.status == "running")
        .values(status="failed", finished_at=datetime.now(UTC))
    )


def mark_interrupted(session: Session, collection_id: int) -> int:
    """Close the runs over files that were killed before they could: ``running`` becomes ``interrupted``.

    Returns how many. Only a caller that knows that no other run over files is alive may call this.
    """
    updated = session.scalars(
        update(tables.IngestionRun)
        .where(
            tables.IngestionRun.collection_id == collection_id,
            tables.IngestionRun.status == "running",
            tables.IngestionRun.options.is_not(None),
        )
        .values(status="interrupted", finished_at=datetime.now(UTC))
        .returning(tables.IngestionRun.id)
    ).all()
    return len(updated)


def update_counts(session: Session, run_id: int, counts: RunCounts) -> None:
    """Log how far a run is."""
    session.execute(update(tables.IngestionRun).where(tables.IngestionRun.id == run_id).values(**asdict(counts)))


def begin_files(session: Session, run_id: int, files: Sequence[str]) -> None:
    """Note the files that a run is going to read, in place of those of earlier runs over the same collection."""
    collection_id = select(tables.IngestionRun.collection_id).where(tables.IngestionRun.id == run_id).scalar_subquery()
    earlier = select(tables.IngestionRun.id).where(tables.IngestionRun.collection_id == collection_id)
    session.execute(delete(tables.IngestionFile).where(tables.IngestionFile.run_id.in_(earlier)))
    now = datetime.now(UTC)
    rows = [
        {"run_id": run_id, "file": file, "status": "waiting", "num_documents": 0, "reason": None, "updated_at": now}
        for file in files
    ]
    if rows:
        session.execute(insert(tables.IngestionFile), rows)


def put_file_states(session: Session, run_id: int, states: Sequence[FileState]) -> None:
    """Note what became of files of a run."""
    now = datetime.now(UTC)
    statement = (
        update(tables.IngestionFile)
        .where(tables.IngestionFile.run_id == run_id, tables.IngestionFile.file == bindparam("of_file"))
        .values(
            status=bindparam("new_status"),
            num_documents=bindparam("new_num_documents"),
            reason=bindparam("new_reason"),
            updated_at=now,
        )
    )
    rows = [
        {
            "of_file": state.file,
            "new_status": state.status,
            "new_num_documents": state.num_documents,
            "new_reason": state.reason,
        }
        for state in states
    ]
    if rows:
        session.connection().execute(statement, rows)


def count_files(session: Session, run_id: int) -> dict[str, int]:
    """How many files of a run have each status."""
    files = tables.IngestionFile
    statement = select(files.status, func.count()).where(files.run_id == run_id).group_by(files.status)
    return dict(session.execute(statement).all())


def get_run(session: Session, run_id: int) -> RunRecord:
    """One run.

    Raises:
        NotFound: there is no such run.
    """
    row = session.get(tables.IngestionRun, run_id)
    if row is None:
        raise NotFound(f"There is no ingestion run {run_id}.")
    return run_record(row)


def last_run_over_files(session: Session, collection_id: int) -> RunRecord:
    """The newest run over files of a collection.

    Raises:
        NotFound: there was none.
    """
    row = session.scalars(
        select(tables.IngestionRun)
        .where(tables.IngestionRun.collection_id == collection_id, tables.IngestionRun.options.is_not(None))
        .order_by(tables.IngestionRun.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        raise NotFound("No run has read files for this collection yet; `rag ingest PATH` begins one.")
    return run_record(row)


def list_runs(
    session: Session, *, collection_id: int | None = None, before_id: int | None = None, limit: int = 50
) -> list[RunRecord]:
    """Runs, newest first; of one collection if given. ``before_id`` continues after the last one of a page."""
    statement = select(tables.IngestionRun).order_by(tables.IngestionRun.id.desc()).limit(limit)
    if collection_id is not None:
        statement = statement.where(tables.IngestionRun.collection_id == collection_id)
    if before_id is not None:
        statement = statement.where(tables.IngestionRun.id < before_id)
    return [run_record(row) for row in session.scalars(statement)]


def list_failures(session: Session, run_id: int, *, after_id: int = 0, limit: int | None = None) -> list[Failure]:
    """What a run refused, in the order in which it happened. ``after_id`` continues after a page; no ``limit``: all."""
    statement = (
        select(tables.IngestionFailure)
        .where(tables.IngestionFailure.run_id == run_id, tables.IngestionFailure.id > after_id)
        .order_by(tables.IngestionFailure.id)
        .limit(limit)
    )
    return [
        Failure(id=row.id, source=row.source, reason=row.reason, created_at=row.created_at)
        for row in session.scalars(statement)
    ]


def run_record(row: tables.IngestionRun) -> RunRecord:
    """A row as a record."""
    return RunRecord(
        id=row.id,
        collection_id=row.collection_id,
        paths=tuple(row.paths),
        status=row.status,
        options=row.options,
        counts=RunCounts(**{name: getattr(row, name) for name in RunCounts.__dataclass_fields__}),
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
