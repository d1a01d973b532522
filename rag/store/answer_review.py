"""The review list: the rows of the view ``answer_review``, filtered and paged.

The view itself is made by a migration, and people query it with SQL of their own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Boolean, Double, column, or_, select, table
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.records import OWNER, Caller, Origin
from rag.store.access import answers_open_to
from rag.store.column_types import BigInt, PlainText, UtcDateTime
from rag.store.tables import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """One answer, flat. Rating, comment and corrected answer are those of the last feedback, None without any.

    ``dataset`` names the version of the collection that it saw. Quote, source, title and origin are those of the first
    citation.
    """

    answer_id: int
    created_at: datetime
    collection: str
    question: str
    answer: str
    abstained: bool
    confidence: float
    num_citations: int
    first_quote: str | None
    first_source: str | None
    first_title: str | None
    num_passages: int
    answer_relevancy: float | None
    context_precision: float | None
    rating: int | None
    num_feedback: int
    comment: str | None
    corrected_answer: str | None
    model: str
    total_ms: float | None
    dataset: str | None
    first_origin: Origin | None
    num_synthetic_citations: int
    num_synthetic_passages: int


ANSWER_REVIEW = table(
    "answer_review",
    column("answer_id", BigInt),
    column("created_at", UtcDateTime()),
    column("collection", PlainText()),
    column("question", PlainText()),
    column("answer", PlainText()),
    column("abstained", Boolean()),
    column("confidence", Double()),
    column("num_citations", BigInt),
    column("first_quote", PlainText()),
    column("first_source", PlainText()),
    column("first_title", PlainText()),
    column("num_passages", BigInt),
    column("answer_relevancy", Double()),
    column("context_precision", Double()),
    column("rating", BigInt),
    column("num_feedback", BigInt),
    column("comment", PlainText()),
    column("corrected_answer", PlainText()),
    column("model", PlainText()),
    column("total_ms", Double()),
    column("dataset", PlainText()),
    column("first_origin", PlainText()),
    column("num_synthetic_citations", BigInt),
    column("num_synthetic_passages", BigInt),
)


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
    before_id: int | None = None,
    limit: int = 50,
    caller: Caller = OWNER,
) -> list[ReviewRow]:
    """Logged answers that ``caller`` may know of, newest first; those of evaluations are left out.

    The moments are ``since`` inclusive and ``until`` exclusive, in UTC where they have no time zone. ``contains`` is
    looked for in question and answer, upper and lower case alike (SQLite knows the case of ASCII letters only).
    ``user_id`` is who asked.
    ``before_id`` continues after the last answer of a page.

    Raises:
        InvalidInput: ``limit`` is below 1, or ``rating`` is neither 1 nor -1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    if rating not in (None, -1, 1):
        raise InvalidInput(f"The rating must be 1 (good) or -1 (bad), not {rating}.")
    review = ANSWER_REVIEW.c
    wanted = answers_open_to(caller, review.answer_id)
    if collection is not None:
        wanted.append(review.collection == collection)
    if abstained is not None:
        wanted.append(review.abstained.is_(abstained))
    if min_confidence is not None:
        wanted.append(review.confidence >= min_confidence)
    if max_confidence is not None:
        wanted.append(review.confidence <= max_confidence)
    if rating is not None:
        wanted.append(review.rating == rating)
    if since is not None:
        wanted.append(review.created_at >= _in_utc(since))
    if until is not None:
        wanted.append(review.created_at < _in_utc(until))
    if contains is not None:
        wanted.append(
            or_(
                review.question.icontains(contains, autoescape=True), review.answer.icontains(contains, autoescape=True)
            )
        )
    if user_id is not None:
        wanted.append(review.answer_id.in_(select(Answer.id).where(Answer.user_id == user_id)))
    if before_id is not None:
        wanted.append(review.answer_id < before_id)
    statement = select(ANSWER_REVIEW).where(*wanted).order_by(review.answer_id.desc()).limit(limit)
    return [ReviewRow(**row._mapping) for row in session.execute(statement)]


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
