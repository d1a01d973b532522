"""The review list: the rows of the view ``answer_review``, filtered and paged.

People query the view itself with SQL of their own; see ``rag.store.views``.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.records import OWNER, Caller, Origin
from rag.store.access import answers_open_to
from rag.store.answer_order import NEWEST_FIRST, AnswerCursor, AnswerSort, beyond, ordering
from rag.store.encryption import cipher_of
from rag.store.review_views import ANSWER_REVIEW
from rag.store.tables import Answer

ScoreName = Literal["confidence", "answerability", "answer_relevancy", "context_precision", "faithfulness"]
"""The scores that are columns of the view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """One answer, flat: the columns of the view, in their order; ``rag.store.review_views`` says what they mean.

    Columns that came to ``answers`` later are left out.
    """

    answer_id: int
    created_at: datetime
    collection: str
    question: str
    answer: str
    abstained: bool
    confidence: float
    answerability: float | None
    answer_relevancy: float | None
    context_precision: float | None
    faithfulness: float | None
    num_citations: int
    first_quote: str | None
    first_source: str | None
    first_title: str | None
    first_origin: Origin | None
    num_passages: int
    num_synthetic_citations: int
    num_synthetic_passages: int
    rating: int | None
    comment: str | None
    corrected_answer: str | None
    wrong_passage_id: int | None
    is_review: bool | None
    rated_by: str | None
    rated_at: datetime | None
    num_feedback: int
    num_thumbs_up: int
    num_thumbs_down: int
    num_reviews: int
    model: str
    embedding_model: str
    dataset: str | None
    embed_ms: float | None
    retrieve_ms: float | None
    rerank_ms: float | None
    read_ms: float | None
    score_ms: float | None
    total_ms: float | None


_REVIEW = ANSWER_REVIEW.table()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRange:
    """Answers that have a score ``metric`` from ``least`` to ``most``, both of them included."""

    metric: ScoreName
    least: float = 0.0
    most: float = 1.0

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a row of the view must fulfil."""
        value = _REVIEW.c[self.metric]
        return [value >= self.least, value <= self.most]


def list_answers(
    session: Session,
    *,
    collection: str | None = None,
    abstained: bool | None = None,
    min_confidence: float | None = None,
    max_confidence: float | None = None,
    rating: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    contains: str | None = None,
    user_id: str | None = None,
    rated: bool | None = None,
    reviewed: bool | None = None,
    score: ScoreRange | None = None,
    sort: AnswerSort = NEWEST_FIRST,
    after: AnswerCursor | None = None,
    limit: int = 50,
    caller: Caller = OWNER,
) -> list[ReviewRow]:
    """Logged answers that ``caller`` may know of, in the order of ``sort``; those of evaluations are left out.

    The moments are ``since`` inclusive and ``until`` exclusive, in UTC where they have no time zone. ``contains`` is
    looked for in question and answer, upper and lower case alike (SQLite knows the case of ASCII letters only).
    ``user_id`` is who asked. ``rated`` is whether anyone gave feedback, ``reviewed`` whether a reviewer did.
    ``after`` continues after the last answer of a page (``rag.store.answer_order.cursor_of``).

    Raises:
        InvalidInput: ``limit`` is below 1, ``rating`` is neither 1 nor -1, the list is not sorted so, or ``contains``
            asks of an encrypted log.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    if rating not in (None, -1, 1):
        raise InvalidInput(f"The rating must be 1 (good) or -1 (bad), not {rating}.")
    review = _REVIEW.c
    equal = {"collection": collection, "abstained": abstained, "rating": rating}
    wanted = answers_open_to(caller, review.answer_id)
    wanted += [review[name] == value for name, value in equal.items() if value is not None]
    if min_confidence is not None:
        wanted.append(review.confidence >= min_confidence)
    if max_confidence is not None:
        wanted.append(review.confidence <= max_confidence)
    if since is not None:
        wanted.append(review.created_at >= _in_utc(since))
    if until is not None:
        wanted.append(review.created_at < _in_utc(until))
    if contains is not None:
        wanted.append(_has_words(session, contains))
    if user_id is not None:
        wanted.append(review.answer_id.in_(select(Answer.id).where(Answer.user_id == user_id)))
    wanted += [*_judged(rated=rated, reviewed=reviewed), *(score.conditions() if score else [])]
    if after is not None:
        wanted.append(beyond(_REVIEW, sort, after))
    statement = select(_REVIEW).where(*wanted).order_by(*ordering(_REVIEW, sort)).limit(limit)
    return [ReviewRow(**row._mapping) for row in session.execute(statement)]


def _has_words(session: Session, contains: str) -> ColumnElement[bool]:
    if cipher_of(session.get_bind().dialect).has_keys:
        raise InvalidInput("The log is encrypted, so its words cannot be searched; leave contains out.")
    words = (_REVIEW.c.question, _REVIEW.c.answer)
    return or_(*(column.icontains(contains, autoescape=True) for column in words))


def _judged(*, rated: bool | None, reviewed: bool | None) -> list[ColumnElement[bool]]:
    review = _REVIEW.c
    wanted: list[ColumnElement[bool]] = []
    if rated is not None:
        wanted.append(review.num_feedback > 0 if rated else review.num_feedback == 0)
    if reviewed is not None:
        wanted.append(review.num_reviews > 0 if reviewed else review.num_reviews == 0)
    return wanted


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
