"""Usage over time: the rows of the view ``quality_by_day``, and the values of single answers to compare periods by."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, TableClause, select
from sqlalchemy.orm import Session

from rag.store.review_views import ANSWER_REVIEW, METRICS, QUALITY_BY_DAY

SCORES = ("confidence", *METRICS, "total_ms")
"""The columns of ``answer_review`` whose values are compared, where they are not null."""
MAX_COMPARED = 50_000
"""Answers of a period that are compared at most, the newest: more would not make the comparison surer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayInAll:
    """What was asked on one day of UTC (``YYYY-MM-DD``); ``rag.store.review_views`` says what the figures mean."""

    day: str
    num_questions: int
    num_answered: int
    answer_rate: float
    mean_confidence: float
    mean_answerability: float | None
    mean_answer_relevancy: float | None
    mean_context_precision: float | None
    mean_faithfulness: float | None
    p50_ms: float | None
    p95_ms: float | None
    num_thumbs_up: int
    num_thumbs_down: int
    num_reviewed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfUsage(DayInAll):
    """A row of ``quality_by_day``."""

    collection: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Days of UTC, the first and the last of them included."""

    first: date
    last: date

    @property
    def before(self) -> "Period":
        """As many days, just before."""
        num_days = (self.last - self.first).days + 1
        return Period(first=self.first - timedelta(days=num_days), last=self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodValues:
    """What a period's answers were like: counts, and the values of each of ``SCORES``."""

    num_questions: int
    num_answered: int
    num_thumbs_up: int
    num_thumbs_down: int
    values: Mapping[str, list[float]]


_DAYS, _REVIEW = QUALITY_BY_DAY.table(), ANSWER_REVIEW.table()


def usage_by_day(
    session: Session, period: Period, *, collection: str | None = None, model: str | None = None
) -> list[DayOfUsage]:
    """What was asked on each day of a period, by collection and model, in this order."""
    days = _DAYS.c
    statement = (
        select(_DAYS)
        .where(days.day >= period.first.isoformat(), days.day <= period.last.isoformat())
        .where(*of_group(_DAYS, collection, model))
        .order_by(days.day, days.collection, days.model)
    )
    return [DayOfUsage(**row) for row in session.execute(statement).mappings()]


def values_of(
    session: Session, period: Period, *, collection: str | None = None, model: str | None = None
) -> PeriodValues:
    """The values of the answers of a period, of at most the newest ``MAX_COMPARED``."""
    review = _REVIEW.c
    columns = (review.abstained, review.num_thumbs_up, review.num_thumbs_down, *(review[name] for name in SCORES))
    statement = (
        select(*columns)
        .where(*within(_REVIEW, period), *of_group(_REVIEW, collection, model))
        .order_by(review.answer_id.desc())
        .limit(MAX_COMPARED)
    )
    rows = session.execute(statement).mappings().all()
    return PeriodValues(
        num_questions=len(rows),
        num_answered=sum(not row["abstained"] for row in rows),
        num_thumbs_up=sum(row["num_thumbs_up"] for row in rows),
        num_thumbs_down=sum(row["num_thumbs_down"] for row in rows),
        values={name: [row[name] for row in rows if row[name] is not None] for name in SCORES},
    )


def within(view: TableClause, period: Period) -> list[ColumnElement[bool]]:
    """What an answer's row in a view must fulfil to be of a period."""
    created_at = view.c.created_at
    return [created_at >= _midnight(period.first), created_at < _midnight(period.last, days=1)]


def of_group(view: TableClause, collection: str | None, model: str | None) -> list[ColumnElement[bool]]:
    """What a row of a view must fulfil to be of a collection and a model; None: of any."""
    wanted = {"collection": collection, "model": model}
    return [view.c[name] == value for name, value in wanted.items() if value is not None]


def _midnight(day: date, *, days: int = 0) -> datetime:
    return datetime.combine(day + timedelta(days=days), time(), tzinfo=UTC)
