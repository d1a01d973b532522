"""The orders in which the review list can be read, each with the place at which a page of it goes on."""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from sqlalchemy import ColumnElement, TableClause, func, tuple_

from rag.errors import InvalidInput
from rag.store.list_place import parse_place, place_text

AnswerSort = Literal[
    "-created_at",
    "created_at",
    "confidence",
    "-confidence",
    "faithfulness",
    "-faithfulness",
    "answer_relevancy",
    "-answer_relevancy",
    "context_precision",
    "-context_precision",
    "total_ms",
    "-total_ms",
]
"""A column of ``answer_review``, the lowest value first; with a minus, the highest. Without a value comes last."""
NEWEST_FIRST: AnswerSort = "-created_at"

_BEYOND = 1e18
"""Stands for a value that is missing: above all that there are, and below them with its sign changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCursor:
    """A place in an order: ``value`` is what it sorts by. As text it is what a page hands out for the next one."""

    value: float
    answer_id: int

    def __str__(self) -> str:
        return place_text(self.value, self.answer_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. Raises InvalidInput where that is none."""
        value, answer_id = parse_place(text, float, int)
        return cls(value=value, answer_id=answer_id)


def cursor_of(row: Any, sort: AnswerSort) -> AnswerCursor:
    """The place of a row of the review list in an order."""
    name, is_falling = _column(sort)
    if name == "created_at":
        return AnswerCursor(value=0.0, answer_id=row.answer_id)
    value = getattr(row, name)
    missing = -_BEYOND if is_falling else _BEYOND
    return AnswerCursor(value=missing if value is None else value, answer_id=row.answer_id)


def ordering(review: TableClause, sort: AnswerSort) -> list[ColumnElement[Any]]:
    """What to order by; where the values are the same, the newest answer comes first."""
    name, is_falling = _column(sort)
    if name == "created_at":  # answers are logged in the order of their ids, which an index knows
        return [review.c.answer_id.desc() if is_falling else review.c.answer_id]
    value = _value(review, sort)
    return [value.desc() if is_falling else value, review.c.answer_id.desc()]


def beyond(review: TableClause, sort: AnswerSort, after: AnswerCursor) -> ColumnElement[bool]:
    """What a row must fulfil to come after a place in an order."""
    name, is_falling = _column(sort)
    answer_id = review.c.answer_id
    if name == "created_at":
        return answer_id < after.answer_id if is_falling else answer_id > after.answer_id
    # The ids fall; with the sign of a rising value changed, both fall, and rows compare as pairs.
    value, last = _value(review, sort), after.value
    pair = tuple_(value if is_falling else -value, answer_id)
    return pair < tuple_(last if is_falling else -last, after.answer_id)


def _value(review: TableClause, sort: AnswerSort) -> ColumnElement[Any]:
    name, is_falling = _column(sort)
    return func.coalesce(review.c[name], -_BEYOND if is_falling else _BEYOND)


def _column(sort: AnswerSort) -> tuple[str, bool]:
    """The column's name, and whether the highest value comes first.

    Raises:
        InvalidInput: the list is not sorted by this.
    """
    if sort not in get_args(AnswerSort):
        raise InvalidInput(f"The order {sort!r} is none; name one of {', '.join(get_args(AnswerSort))}.")
    return sort.removeprefix("-"), sort.startswith("-")
