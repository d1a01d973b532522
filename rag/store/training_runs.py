"""Training runs: what was trained from which data, how its curves went, and which weights came out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.store import tables

Curves = dict[str, list[tuple[int, float]]]
"""For each metric, its values by step, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file that a run was trained from."""

    path: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRunStart:
    """What is known of a run when it starts. ``run_key`` is the same each time that the run is started again."""

    run_key: str
    kind: str
    folder: str
    num_steps: int
    seed: int
    settings: Mapping[str, Any]
    data_files: Sequence[DataFile]
    code_version: str
    machine: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRunRecord:
    """One run. ``step`` is the last that was reported, ``reported_at`` when; scores and weights come in the end."""

    id: int
    kind: str
    status: str
    step: int
    num_steps: int
    num_starts: int
    seed: int
    settings: Mapping[str, Any]
    data_files: tuple[DataFile, ...]
    code_version: str
    machine: Mapping[str, Any]
    folder: str
    scores: Mapping[str, Any] | None
    weights_path: str | None
    weights_sha256: str | None
    started_at: datetime
    reported_at: datetime
    finished_at: datetime | None


def start_training_run(session: Session, start: TrainingRunStart) -> int:
    """Log that a run has begun or goes on, and return its id.

    A run with the same key keeps its row and the moment it first began; everything else is as of now.
    """
    now = datetime.now(UTC)
    values = {
        **asdict(start),
        "settings": dict(start.settings),
        "data_files": [asdict(file) for file in start.data_files],
        "machine": dict(start.machine),
        "status": "running",
        "reported_at": now,
        "finished_at": None,
    }
    known = session.scalars(
        update(tables.TrainingRun)
        .where(tables.TrainingRun.run_key == start.run_key)
        .values(**values, num_starts=tables.TrainingRun.num_starts + 1)
        .returning(tables.TrainingRun.id)
    ).one_or_none()
    if known is not None:
        return known
    row = tables.TrainingRun(**values, step=0, num_starts=1, started_at=now)
    session.add(row)
    session.flush()
    return row.id


def add_training_point(session: Session, run_id: int, step: int, values: Mapping[str, float]) -> None:
    """Log what was measured at a step, in place of what may have been logged for it before.

    A value that is not a finite number has no row: neither JSON nor plain SQL could tell it.

    Raises:
        NotFound: there is no such run.
    """
    _update(session, run_id, step=step, reported_at=datetime.now(UTC))
    points, finite = tables.TrainingPoint, {name: value for name, value in values.items() if math.isfinite(value)}
    session.execute(delete(points).where(points.run_id == run_id, points.step == step))
    if finite:
        session.execute(
            insert(points),
            [{"run_id": run_id, "metric": name, "step": step, "value": value} for name, value in finite.items()],
        )


def rewind_training_run(session: Session, run_id: int, step: int) -> None:
    """Forget the points after ``step``: the run was resumed there and computes them again.

    Raises:
        NotFound: there is no such run.
    """
    _update(session, run_id, step=step)
    points = tables.TrainingPoint
    session.execute(delete(points).where(points.run_id == run_id, points.step > step))


def finish_training_run(
    session: Session,
    run_id: int,
    *,
    status: Literal["finished", "failed", "interrupted"],
    scores: Mapping[str, Any] | None = None,
    weights_path: str | None = None,
    weights_sha256: str | None = None,
) -> None:
    """Log how a run ended.

    Raises:
        NotFound: there is no such run.
    """
    _update(
        session,
        run_id,
        status=status,
        scores=None if scores is None else dict(scores),
        weights_path=weights_path,
        weights_sha256=weights_sha256,
        finished_at=datetime.now(UTC),
    )


def get_training_run(session: Session, run_id: int) -> TrainingRunRecord:
    """One run.

    Raises:
        NotFound: there is no such run.
    """
    row = session.get(tables.TrainingRun, run_id)
    if row is None:
        raise NotFound(f"There is no training run {run_id}; `rag train runs` lists them.")
    return _record(row)


def list_training_runs(
    session: Session, *, kind: str | None = None, before_id: int | None = None, limit: int = 50
) -> list[TrainingRunRecord]:
    """Runs, newest first; of one kind if given. ``before_id`` continues after the last one of a page."""
    statement = select(tables.TrainingRun).order_by(tables.TrainingRun.id.desc()).limit(limit)
    if kind is not None:
        statement = statement.where(tables.TrainingRun.kind == kind)
    if before_id is not None:
        statement = statement.where(tables.TrainingRun.id < before_id)
    return [_record(row) for row in session.scalars(statement)]


def training_curves(session: Session, run_id: int) -> Curves:
    """All curves of a run; none if there is no such run."""
    points = tables.TrainingPoint
    statement = (
        select(points.metric, points.step, points.value)
        .where(points.run_id == run_id)
        .order_by(points.metric, points.step)
    )
    curves: Curves = {}
    for metric, step, value in session.execute(statement):
        curves.setdefault(metric, []).append((step, value))
    return curves


def _update(session: Session, run_id: int, **values: Any) -> None:
    updated = session.scalars(
        update(tables.TrainingRun)
        .where(tables.TrainingRun.id == run_id)
        .values(**values)
        .returning(tables.TrainingRun.id)
    ).all()
    if not updated:
        raise NotFound(f"There is no training run {run_id}; `rag train runs` lists them.")


def _record(row: tables.TrainingRun) -> TrainingRunRecord:
    return TrainingRunRecord(
        id=row.id,
        kind=row.kind,
        status=row.status,
        step=row.step,
        num_steps=row.num_steps,
        num_starts=row.num_starts,
        seed=row.seed,
        settings=row.settings,
        data_files=tuple(DataFile(**file) for file in row.data_files),
        code_version=row.code_version,
        machine=row.machine,
        folder=row.folder,
        scores=row.scores,
        weights_path=row.weights_path,
        weights_sha256=row.weights_sha256,
        started_at=row.started_at,
        reported_at=row.reported_at,
        finished_at=row.finished_at,
    )
