"""What people ask and the documents do not answer: the rows of the view ``unanswered_questions``, page by page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.records import OWNER, Caller
from rag.store.access import answers_open_to
from rag.store.list_place import parse_place, place_text
from rag.store.usage_views import UNANSWERED_QUESTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class UnansweredQuestion:
    """A question that went without an answer; ``rag.store.usage_views`` says what the columns mean."""

    collection: str
    question: str
    normalized_question: str
    num_asked: int
    num_answered: int
    answered_since: bool
    first_asked_at: datetime
    last_asked_at: datetime
    last_answer_id: int
    best_passage_id: int | None
    best_title: str | None
    best_source: str | None
    best_relevance: float | None
    best_text: str | None

    @property
    def cursor(self) -> "UnansweredCursor":
        """Continues after this one."""
        return UnansweredCursor(num_asked=self.num_asked, last_answer_id=self.last_answer_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnansweredCursor:
    """A place in the list. As text it is what a page hands out for the next one."""

    num_asked: int
    last_answer_id: int

    def __str__(self) -> str:
        return place_text(self.num_asked, self.last_answer_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. Raises InvalidInput where that is none."""
        num_asked, last_answer_id = parse_place(text, int, int)
        return cls(num_asked=num_asked, last_answer_id=last_answer_id)


_UNANSWERED = UNANSWERED_QUESTIONS.table()


def list_unanswered(
    session: Session,
    *,
    collection: str | None = None,
    answered_since: bool | None = False,
    after: UnansweredCursor | None = None,
    limit: int = 50,
    caller: Caller = OWNER,
) -> list[UnansweredQuestion]:
    """Questions that went without an answer, what was asked most often first, then what was asked last.

    ``answered_since`` False leaves those that still have none, True those that have one by now, None all. ``caller``
    sees a question whose last answer is open to them.

    Raises:
        InvalidInput: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    asked = _UNANSWERED.c
    wanted = answers_open_to(caller, asked.last_answer_id)
    if collection is not None:
        wanted.append(asked.collection == collection)
    if answered_since is not None:
        wanted.append(asked.answered_since.is_(answered_since))
    if after is not None:
        place = tuple_(asked.num_asked, asked.last_answer_id)
        wanted.append(place < tuple_(after.num_asked, after.last_answer_id))
    statement = (
        select(_UNANSWERED).where(*wanted).order_by(asked.num_asked.desc(), asked.last_answer_id.desc()).limit(limit)
    )
    return [UnansweredQuestion(**row) for row in session.execute(statement).mappings()]
