"""Evaluation runs: a file of questions, what was answered to each, and the metrics in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.store import tables

_PLAIN_MEASURES = (
    "ordinal",
    "article",
    "model",
    "confidence",
    "abstention_score",
    "reranked_gold_rank",
    "num_citations",
    "num_verified_citations",
)
_MATCHES = ("always_answering", "with_abstention", "withheld")
"""The names of the fields of ``Measures``: what is a column, and what is two, ``_exact_match`` and ``_f1``."""


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


class Match(NamedTuple):
    """How an answer compares with the reference answers; both figures 0 to 1."""

    exact_match: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What the metrics of a run are made of, for one question.

    ordinal: the question's place among those of the run, from 1.
    article: the title of the article that it was asked about.
    always_answering, with_abstention, withheld: the figures of the answer as made, of what is given when answers below
        the threshold are withheld, and of no answer.
    reranked_gold_rank: the rank of the passage with the answer among those read, in the order they are shown in.
    """

    ordinal: int
    article: str
    model: str
    confidence: float
    abstention_score: float
    always_answering: Match
    with_abstention: Match
    withheld: Match
    reranked_gold_rank: int | None
    num_citations: int
    num_verified_citations: int
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionResult:
    """One question of an evaluation. ``gold_rank`` is the rank of the passage with the answer, if it was found.

    ``measures`` is None in results that older versions logged.
    """

    question_id: str
    question: str
    reference_answers: tuple[str, ...]
    prediction: str
    exact_match: float
    f1: float
    abstained: bool
    answer_id: int | None = None
    gold_rank: int | None = None
    measures: Measures | None = None


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
                    **_measures_values(result.measures),
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


def unfinished_evaluations(session: Session, *, file_sha256: str, collection_id: int) -> list[EvaluationRecord]:
    """The evaluations of a file's content over a collection that have not come to their end, newest first."""
    statement = (
        select(tables.EvaluationRun)
        .where(
            tables.EvaluationRun.file_sha256 == file_sha256,
            tables.EvaluationRun.collection_id == collection_id,
            tables.EvaluationRun.finished_at.is_(None),
        )
        .order_by(tables.EvaluationRun.id.desc())
    )
    return [_record(row) for row in session.scalars(statement)]


def newest_like(session: Session, baseline: EvaluationRecord) -> int | None:
    """The id of the newest finished evaluation of the same file and collection, begun after ``baseline``."""
    statement = select(func.max(tables.EvaluationRun.id)).where(
        tables.EvaluationRun.file_sha256 == baseline.file_sha256,
        tables.EvaluationRun.collection_id == baseline.collection_id,
        tables.EvaluationRun.finished_at.is_not(None),
        tables.EvaluationRun.id > baseline.id,
    )
    return session.scalar(statement)


def count_results(session: Session, run_id: int) -> int:
    """How many questions of an evaluation have been logged."""
    statement = select(func.count()).where(tables.EvaluationResult.run_id == run_id)
    return session.scalar(statement) or 0


def ordinals_done(session: Session, run_id: int) -> set[int]:
    """The places of the questions of an evaluation that have been logged; see ``Measures.ordinal``."""
    statement = select(tables.EvaluationResult.ordinal).where(tables.EvaluationResult.run_id == run_id)
    return {ordinal for ordinal in session.scalars(statement) if ordinal is not None}


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
            measures=_measures(row),
        )
        for row in session.scalars(statement)
    ]


def _measures_values(measures: Measures | None) -> dict[str, Any]:
    """The columns of measures; all null where there are none."""
    if measures is None:
        return dict.fromkeys(
            [*_PLAIN_MEASURES, *(f"{way}_{figure}" for way in _MATCHES for figure in Match._fields), "timings_ms"]
        )
    return {
        **{name: getattr(measures, name) for name in _PLAIN_MEASURES},
        **{f"{way}_{figure}": value for way in _MATCHES for figure, value in getattr(measures, way)._asdict().items()},
        "timings_ms": dict(measures.timings_ms),
    }


def _measures(row: tables.EvaluationResult) -> Measures | None:
    if row.ordinal is None:
        return None
    values: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN_MEASURES}
    for way in _MATCHES:
        values[way] = Match(*(getattr(row, f"{way}_{figure}") for figure in Match._fields))
    return Measures(**values, timings_ms=row.timings_ms or {})


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
