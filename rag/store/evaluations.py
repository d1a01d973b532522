"""Evaluation runs: a file of questions, what was answered to each, and the metrics in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """One evaluation. ``metrics`` and ``finished_at`` are None until it has finished."""

    id: int
    file: str
    file_sha256: str
    collection_id: int
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any] | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionResult:
    """One question of an evaluation. ``gold_rank`` is the rank of the passage with the answer, if it was found."""

    question_id: str
    question: str
    reference_answers: tuple[str, ...]
    prediction: str
    exact_match: float
    f1: float
    abstained: bool
    answer_id: int | None = None
    gold_rank: int | None = None


def start_evaluation(
    session: Session, *, file: str, file_sha256: str, collection_id: int, settings: Mapping[str, Any]
) -> int:
    """Log that an evaluation has begun, and return its id."""
    row = tables.EvaluationRun(
        file=file,
        file_sha256=file_sha256,
        collection_id=collection_id,
        settings=dict(settings),
        started_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return row.id


def add_results(session: Session, run_id: int, results: Sequence[QuestionResult]) -> None:
    """Log what came of a batch of questions."""
    if results:
        session.execute(
            insert(tables.EvaluationResult),
            [
                {
                    "run_id": run_id,
                    "question_id": result.question_id,
                    "question": result.question,
                    "reference_answers": list(result.reference_answers),
                    "prediction": result.prediction,
                    "answer_id": result.answer_id,
                    "exact_match": result.exact_match,
                    "f1": result.f1,
                    "gold_rank": result.gold_rank,
                    "abstained": result.abstained,
                }
                for result in results
            ],
        )


def finish_evaluation(session: Session, run_id: int, *, metrics: Mapping[str, Any]) -> None:
    """Log the metrics of an evaluation that has come to its end.

    Raises:
        NotFound: there is no such evaluation.
    """
    updated = session.scalars(
        update(tables.EvaluationRun)
        .where(tables.EvaluationRun.id == run_id)
        .values(metrics=dict(metrics), finished_at=datetime.now(UTC))
        .returning(tables.EvaluationRun.id)
    ).all()
    if not updated:
        raise NotFound(f"There is no evaluation {run_id}.")


def get_evaluation(session: Session, run_id: int) -> EvaluationRecord:
    """One evaluation.

    Raises:
        NotFound: there is no such evaluation.
    """
    row = session.get(tables.EvaluationRun, run_id)
    if row is None:
        raise NotFound(f"There is no evaluation {run_id}.")
    return _record(row)


def list_evaluations(session: Session, *, before_id: int | None = None, limit: int = 50) -> list[EvaluationRecord]:
    """Evaluations, newest first. ``before_id`` continues after the last one of a page."""
    statement = select(tables.EvaluationRun).order_by(tables.EvaluationRun.id.desc()).limit(limit)
    if before_id is not None:
        statement = statement.where(tables.EvaluationRun.id < before_id)
    return [_record(row) for row in session.scalars(statement)]


def list_results(session: Session, run_id: int) -> list[QuestionResult]:
    """What came of each question, in the order in which they were added."""
    statement = (
        select(tables.EvaluationResult)
        .where(tables.EvaluationResult.run_id == run_id)
        .order_by(tables.EvaluationResult.id)
    )
    return [
        QuestionResult(
            question_id=row.question_id,
            question=row.question,
            reference_answers=tuple(row.reference_answers),
            prediction=row.prediction,
            exact_match=row.exact_match,
            f1=row.f1,
            abstained=row.abstained,
            answer_id=row.answer_id,
            gold_rank=row.gold_rank,
        )
        for row in session.scalars(statement)
    ]


def _record(row: tables.EvaluationRun) -> EvaluationRecord:
    return EvaluationRecord(
        id=row.id,
        file=row.file,
        file_sha256=row.file_sha256,
        collection_id=row.collection_id,
        settings=row.settings,
        metrics=row.metrics,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
