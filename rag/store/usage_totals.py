"""Usage day by day over all collections and models together: what charts over time draw.

The view ``quality_by_day`` has a row for each collection and model, and percentiles of groups give none of the whole.
"""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, case, cast, func, literal_column, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from rag.store.review_views import ANSWER_REVIEW, METRICS
from rag.store.usage import DayInAll, Period, of_group, within
from rag.store.view import DIALECTS

_REVIEW = ANSWER_REVIEW.table()


def days_in_all(
    session: Session, period: Period, *, collection: str | None = None, model: str | None = None
) -> list[DayInAll]:
    """The days of a period on which anything was asked, in their order."""
    review = _REVIEW.c
    day: ColumnElement[str] = literal_column(
        DIALECTS[session.get_bind().dialect.name]["day"].format("answer_review.created_at")
    )
    placed = (
        select(
            day.label("day"),
            review.abstained,
            review.confidence,
            *(review[metric] for metric in METRICS),
            review.total_ms,
            review.num_thumbs_up,
            review.num_thumbs_down,
            review.num_reviews,
            func.row_number().over(partition_by=day, order_by=review.total_ms.nulls_last()).label("place"),
            func.count(review.total_ms).over(partition_by=day).label("num_timed"),
        )
        .where(*within(_REVIEW, period), *of_group(_REVIEW, collection, model))
        .subquery("placed")
    )
    statement = select(placed.c.day, *_figures(placed.c)).group_by(placed.c.day).order_by(placed.c.day)
    return [DayInAll(**row) for row in session.execute(statement).mappings()]


def _figures(placed: ReadOnlyColumnCollection[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The columns beside the day, by their names."""

    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count(case((condition, 1)))

    def percentile(number: int) -> ColumnElement[float]:
        # By the nearest rank, as in the view: the smallest value that so many in a hundred do not exceed.
        return func.min(case((placed.place == (placed.num_timed * number + 99) // 100, placed.total_ms)))

    figures: dict[str, ColumnElement[Any]] = {
        "num_questions": func.count(),
        "num_answered": count(placed.abstained.is_(False)),
        "answer_rate": func.avg(case((placed.abstained, cast(0, Double)), else_=1)),
        "mean_confidence": func.avg(placed.confidence),
        **{f"mean_{metric}": func.avg(placed[metric]) for metric in METRICS},
        "p50_ms": percentile(50),
        "p95_ms": percentile(95),
        "num_thumbs_up": cast(func.sum(placed.num_thumbs_up), BigInteger),
        "num_thumbs_down": cast(func.sum(placed.num_thumbs_down), BigInteger),
        "num_reviewed": count(placed.num_reviews > 0),
    }
    return [figure.label(name) for name, figure in figures.items()]
