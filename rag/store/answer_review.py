"""The review list: the rows of the view ``answer_review``, filtered and paged.

People query the view itself with SQL of their own; see ``rag.store.views``.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.records import OWNER, Caller, Origin
from rag.store.access import answers_open_to
from rag.store.encryption import cipher_of
from rag.store.review_views import ANSWER_REVIEW
from rag.store.tables import Answer


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
        InvalidInput: ``limit`` is below 1, ``rating`` is neither 1 nor -1, or ``contains`` asks of an encrypted log.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    if rating not in (None, -1, 1):
        raise InvalidInput(f"The rating must be 1 (good) or -1 (bad), not {rating}.")
    review = _REVIEW.c
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
        if cipher_of(session.get_bind().dialect).has_keys:
            raise InvalidInput("The log is encrypted, so its words cannot be searched; leave contains out.")
        wanted.append(
            or_(
                review.question.icontains(contains, autoescape=True), review.answer.icontains(contains, autoescape=True)
            )
        )
    if user_id is not None:
        wanted.append(review.answer_id.in_(select(Answer.id).where(Answer.user_id == user_id)))
    if before_id is not None:
        wanted.append(review.answer_id < before_id)
    statement = select(_REVIEW).where(*wanted).order_by(review.answer_id.desc()).limit(limit)
    return [ReviewRow(**row._mapping) for row in session.execute(statement)]


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
