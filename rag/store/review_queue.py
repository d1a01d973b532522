"""The review queue: the rows of the view ``review_queue``, the most pressing first, page by page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.records import OWNER, Caller
from rag.store.access import answers_open_to
from rag.store.list_place import parse_place, place_text
from rag.store.review_views import REASONS, REVIEW_QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedAnswer:
    """An answer to be looked at. ``reasons`` are of ``rag.store.review_views.REASONS``, the weightiest first."""

    answer_id: int
    created_at: datetime
    collection: str
    question: str
    answer: str
    abstained: bool
    confidence: float
    lowest_score: float
    highest_score: float
    num_asked: int
    comment: str | None
    priority: int
    reasons: tuple[str, ...]

    @property
    def cursor(self) -> "QueueCursor":
        """Continues after this one."""
        return QueueCursor(priority=self.priority, answer_id=self.answer_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCursor:
    """A place in the queue. As text it is what a page hands out for the next one."""

    priority: int
    answer_id: int

    def __str__(self) -> str:
        return place_text(self.priority, self.answer_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. Raises InvalidInput where that is none."""
        priority, answer_id = parse_place(text, int, int)
        return cls(priority=priority, answer_id=answer_id)


_QUEUE = REVIEW_QUEUE.table()


def list_queue(
    session: Session,
    *,
    collection: str | None = None,
    after: QueueCursor | None = None,
    limit: int = 50,
    caller: Caller = OWNER,
) -> list[QueuedAnswer]:
    """Answers to be reviewed that ``caller`` may know of: by priority, then the newest first.

    Raises:
        InvalidInput: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    queue = _QUEUE.c
    wanted = answers_open_to(caller, queue.answer_id)
    if collection is not None:
        wanted.append(queue.collection == collection)
    if after is not None:
        wanted.append(tuple_(queue.priority, queue.answer_id) < tuple_(after.priority, after.answer_id))
    statement = select(_QUEUE).where(*wanted).order_by(queue.priority.desc(), queue.answer_id.desc()).limit(limit)
    return [
        QueuedAnswer(
            **{name: value for name, value in row.items() if name not in REASONS},
            reasons=tuple(reason for reason in REASONS if row[reason]),
        )
        for row in session.execute(statement).mappings()
    ]
