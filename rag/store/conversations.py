"""Conversations: listing them, reading them in order, and taking them apart.

A conversation is open to whom *all* its answers are, and only to the user whose it is. Who has no user id sees those
that are nobody's; who has none and sees all documents sees all of them.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, not_, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import OWNER, Answer, Caller, Turn
from rag.store import tables
from rag.store.access import answers_open_to
from rag.store.answer_links import chain_ids
from rag.store.answers import get_answer
from rag.store.conversation_tables import Conversation

MAX_ANSWERS = 1_000
"""Answers of one conversation that are shown, the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSummary:
    """A conversation without its answers; ``first_question`` is what it began with."""

    id: int
    collection: str
    user_id: str | None
    first_question: str
    num_answers: int
    created_at: datetime
    last_answer_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationContent:
    """A conversation with its answers, in the order in which they were given."""

    summary: ConversationSummary
    answers: tuple[Answer, ...]


def list_conversations(
    session: Session, *, before_id: int | None = None, limit: int = 50, caller: Caller = OWNER
) -> list[ConversationSummary]:
    """The conversations of ``caller``, newest first. ``before_id`` continues after the last of a page.

    Raises:
        InvalidInput: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    wanted = _open_to(caller)
    if before_id is not None:
        wanted.append(Conversation.id < before_id)
    return _summaries(session, wanted, limit=limit)


def get_conversation(session: Session, conversation_id: int, *, caller: Caller = OWNER) -> ConversationContent:
    """A conversation with its last ``MAX_ANSWERS`` answers.

    Raises:
        NotFound: there is no such conversation, or ``caller`` may not know of it.
    """
    found = _summaries(session, [Conversation.id == conversation_id, *_open_to(caller)], limit=1)
    if not found:
        raise _not_found(conversation_id)
    ids = _last_answer_ids(session, conversation_id, MAX_ANSWERS)
    answers = tuple(get_answer(session, answer_id, caller=caller).answer for answer_id in ids)
    return ConversationContent(summary=found[0], answers=answers)


def conversation_turns(
    session: Session, conversation_id: int, *, limit: int, caller: Caller = OWNER
) -> dict[int, Turn]:
    """What was asked last in a conversation, by answer id, oldest first, in the forms that were searched.

    Raises:
        NotFound: there is no such conversation, or ``caller`` may not know of it.
    """
    require_conversation(session, conversation_id, caller=caller)
    return _turns_of(session, _last_answer_ids(session, conversation_id, limit))


def chain_turns(session: Session, answer_id: int, *, limit: int, caller: Caller = OWNER) -> dict[int, Turn]:
    """The same of the prompt chain that ends with an answer.

    Raises:
        NotFound: there is no such answer, or ``caller`` may not know of it.
    """
    return _turns_of(session, chain_ids(session, answer_id, caller=caller, limit=limit))


def require_conversation(session: Session, conversation_id: int, *, caller: Caller = OWNER) -> None:
    """Make sure that there is a conversation.

    Raises:
        NotFound: there is none, or ``caller`` may not know of it.
    """
    wanted = select(Conversation.id).where(Conversation.id == conversation_id, *_open_to(caller))
    if session.scalar(wanted) is None:
        raise _not_found(conversation_id)


def delete_conversation(session: Session, conversation_id: int, *, caller: Caller = OWNER) -> None:
    """Take a conversation apart: its answers stay in the log, each for itself, and can be reviewed as before.

    Raises:
        NotFound: there is no such conversation, or ``caller`` may not know of it.
    """
    require_conversation(session, conversation_id, caller=caller)
    # Locked, so that no answer is being logged into it.
    session.execute(select(Conversation.id).where(Conversation.id == conversation_id).with_for_update())
    its_answers = tables.Answer.conversation_id == conversation_id
    session.execute(update(tables.Answer).where(its_answers).values(conversation_id=None))
    session.execute(delete(Conversation).where(Conversation.id == conversation_id))


def _open_to(caller: Caller) -> list[ColumnElement[bool]]:
    """What a row of ``conversations`` must fulfil so that ``caller`` may know of it."""
    conditions: list[ColumnElement[bool]] = []
    if caller.user_id is not None:
        conditions.append(Conversation.user_id == caller.user_id)
    elif caller.access_labels is not None:
        conditions.append(Conversation.user_id.is_(None))
    open_answers = answers_open_to(caller, tables.Answer.id)
    if open_answers:
        in_it = tables.Answer.conversation_id == Conversation.id
        closed = select(tables.Answer.id).where(in_it, not_(and_(*open_answers)))
        conditions.append(~closed.correlate(Conversation).exists())
    return conditions


def _summaries(session: Session, wanted: list[ColumnElement[bool]], *, limit: int) -> list[ConversationSummary]:
    answers = (
        select(
            tables.Answer.conversation_id,
            func.min(tables.Answer.id).label("first_id"),
            func.count().label("num_answers"),
            func.max(tables.Answer.created_at).label("last_answer_at"),
        )
        .where(tables.Answer.conversation_id.is_not(None))
        .group_by(tables.Answer.conversation_id)
        .subquery()
    )
    first = tables.Answer
    statement = (
        select(Conversation, tables.Collection.name, first.question, answers.c.num_answers, answers.c.last_answer_at)
        .join(tables.Collection, tables.Collection.id == Conversation.collection_id)
        .join(answers, answers.c.conversation_id == Conversation.id)
        .join(first, first.id == answers.c.first_id)
        .where(*wanted)
        .order_by(Conversation.id.desc())
        .limit(limit)
    )
    return [
        ConversationSummary(
            id=row.id,
            collection=collection,
            user_id=row.user_id,
            first_question=question,
            num_answers=num_answers,
            created_at=row.created_at,
            last_answer_at=last_answer_at,
        )
        for row, collection, question, num_answers, last_answer_at in session.execute(statement)
    ]


def _last_answer_ids(session: Session, conversation_id: int, limit: int) -> list[int]:
    statement = (
        select(tables.Answer.id)
        .where(tables.Answer.conversation_id == conversation_id)
        .order_by(tables.Answer.id.desc())
        .limit(limit)
    )
    return list(session.scalars(statement))[::-1]


def _turns_of(session: Session, answer_ids: list[int]) -> dict[int, Turn]:
    row = tables.Answer
    searched = func.coalesce(row.standalone_question, row.question)
    statement = select(row.id, searched, row.answer).where(row.id.in_(answer_ids)).order_by(row.id)
    return {answer_id: Turn(question, answer) for answer_id, question, answer in session.execute(statement)}


def _not_found(conversation_id: int) -> NotFound:
    return NotFound(f"There is no conversation {conversation_id}.")
