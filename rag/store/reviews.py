"""What reviewers said: their last word on each answer, and which answers were judged."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from rag.records import OWNER, Caller
from rag.store import tables
from rag.store.access import answers_open_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A reviewer's last word on an answer: ``rating`` is 1 for good and -1 for bad."""

    answer_id: int
    reviewer: str
    rating: int


def list_judgements(session: Session, *, collection: str | None = None, caller: Caller = OWNER) -> list[Judgement]:
    """The last review of each answer by each reviewer who is named, of answers that ``caller`` may know of."""
    last = (
        select(func.max(tables.Feedback.id))
        .where(tables.Feedback.is_review, tables.Feedback.user_id.is_not(None))
        .group_by(tables.Feedback.answer_id, tables.Feedback.user_id)
    )
    statement = (
        select(tables.Feedback.answer_id, tables.Feedback.user_id, tables.Feedback.rating)
        .join(tables.Answer, tables.Answer.id == tables.Feedback.answer_id)
        .where(
            tables.Feedback.id.in_(last),
            tables.Answer.evaluation_run_id.is_(None),
            *_asked_of(collection),
            *answers_open_to(caller, tables.Feedback.answer_id),
        )
        .order_by(tables.Feedback.answer_id, tables.Feedback.user_id)
    )
    return [
        Judgement(answer_id=answer_id, reviewer=user_id or "", rating=rating)
        for answer_id, user_id, rating in session.execute(statement)
    ]


def judged_answer_ids(
    session: Session,
    *,
    collection: str | None = None,
    since: datetime | None = None,
    with_thumbs: bool = False,
) -> list[int]:
    """The answers that a reviewer has judged, oldest first; ``with_thumbs``: or an asker.

    ``since`` holds for the moment of the answer.
    """
    judged = select(tables.Feedback.answer_id)
    if not with_thumbs:
        judged = judged.where(tables.Feedback.is_review)
    statement = (
        select(tables.Answer.id)
        .where(tables.Answer.evaluation_run_id.is_(None), tables.Answer.id.in_(judged), *_asked_of(collection))
        .order_by(tables.Answer.id)
    )
    if since is not None:
        statement = statement.where(tables.Answer.created_at >= since)
    return list(session.scalars(statement))


def _asked_of(collection: str | None) -> list[ColumnElement[bool]]:
    """What an answer must fulfil to be one of a collection; nothing where all are wanted."""
    if collection is None:
        return []
    named = select(tables.Collection.id).where(tables.Collection.name == collection)
    return [tables.Answer.collection_id.in_(named)]
