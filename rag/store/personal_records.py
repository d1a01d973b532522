"""What is kept of a person, by user id: giving all of it out, and taking the person out of it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.records import Caller, RetentionMode
from rag.store import key_tables, tables
from rag.store.answers import get_answer
from rag.store.api_keys import list_api_keys
from rag.store.audit import AuditEvent, put_audit_event
from rag.store.conversation_tables import Conversation
from rag.store.database import Database
from rag.store.retention import Removal, remove_answers

ERASED = "(erased)"
"""Stands in the audit where a person stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonCounts:
    """What is kept of a person. ``num_feedback`` is theirs, on any answers; ``num_audit_events`` name them."""

    num_answers: int
    num_conversations: int
    num_feedback: int
    num_api_keys: int
    num_sign_ins: int
    num_audit_events: int


def count_person(session: Session, user_id: str) -> PersonCounts:
    """What is kept of a person.

    Raises:
        NotFound: nothing is.
    """

    def number(table: Any, *wanted: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).select_from(table).where(*wanted)) or 0

    counts = PersonCounts(
        num_answers=number(tables.Answer, tables.Answer.user_id == user_id),
        num_conversations=number(Conversation, Conversation.user_id == user_id),
        num_feedback=number(tables.Feedback, tables.Feedback.user_id == user_id),
        num_api_keys=number(tables.ApiKey, tables.ApiKey.user_id == user_id),
        num_sign_ins=number(key_tables.SignIn, key_tables.SignIn.api_key_id.in_(_key_ids(user_id))),
        num_audit_events=len(_events_naming(session, user_id)),
    )
    if not any(asdict(counts).values()) and session.get(key_tables.User, user_id) is None:
        raise NotFound(f"Nothing is kept of a user {user_id!r}.")
    return counts


def records_of_person(session: Session, user_id: str) -> Iterator[Mapping[str, Any]]:
    """All that is kept of a person, one record at a time; ``record`` says what each is. Keys come without their hash.

    Raises:
        NotFound: nothing is.
    """
    count_person(session, user_id)
    user = session.get(key_tables.User, user_id)
    if user is not None:
        yield {"record": "user", "id": user.id, "created_at": user.created_at}
    for key in list_api_keys(session, user_id=user_id):
        yield {"record": "api_key", **asdict(key)}
    entered = key_tables.SignIn
    sign_ins = select(entered.api_key_id, entered.created_at, entered.expires_at)
    for made in session.execute(sign_ins.where(entered.api_key_id.in_(_key_ids(user_id))).order_by(entered.created_at)):
        yield {"record": "sign_in", **made._mapping}
    conversations = select(Conversation).where(Conversation.user_id == user_id).order_by(Conversation.id)
    for conversation in session.scalars(conversations):
        yield {"record": "conversation", "id": conversation.id, "created_at": conversation.created_at}
    asked = select(tables.Answer.id).where(tables.Answer.user_id == user_id).order_by(tables.Answer.id)
    for answer_id in session.scalars(asked).all():
        yield {"record": "answer", **asdict(get_answer(session, answer_id))}
    said = tables.Feedback
    for row in session.execute(select(said.__table__).where(said.user_id == user_id).order_by(said.id)):
        yield {"record": "feedback", **row._mapping}
    for event in _events_naming(session, user_id):
        yield {"record": "audit_event", **asdict(event)}


def erase_person(
    database: Database,
    user_id: str,
    *,
    mode: RetentionMode,
    caller: Caller,
    on_progress: Callable[[int], None] = lambda _: None,
) -> PersonCounts:
    """Take a person out of all that is kept, and return what that was.

    Answers are deleted, or anonymised; so is the feedback that the person gave to others' answers. Keys, sign-ins and
    conversations go, what a key opened is closed. The audit keeps each act, with ``ERASED`` where the person stood.
    A run that was killed can be run again.

    Raises:
        NotFound: nothing is kept of such a user.
    """
    with database.read() as session:
        counts = count_person(session, user_id)
    with database.write() as session:
        # First, so that the person's keys ask nothing more.
        if session.get_bind().dialect.name == "sqlite":
            session.execute(text("PRAGMA secure_delete = ON"))  # zeros over what goes
        details = {name: number for name, number in asdict(counts).items() if number}
        put_audit_event(session, caller, "user.erase", target=ERASED, details={"mode": mode, **details})
        session.execute(delete(key_tables.SignIn).where(key_tables.SignIn.api_key_id.in_(_key_ids(user_id))))
        session.execute(delete(tables.ApiKey).where(tables.ApiKey.user_id == user_id))
    removal = Removal(mode=mode, user_id=user_id, with_evaluations=True)
    remove_answers(database, removal, on_progress=on_progress)
    with database.write() as session:
        _forget_rest(session, user_id, mode)
    return counts


def _forget_rest(session: Session, user_id: str, mode: RetentionMode) -> None:
    said = tables.Feedback
    if mode == "delete":
        session.execute(delete(said).where(said.user_id == user_id))
    else:
        empty = {"comment": None, "corrected_answer": None, "user_id": None}
        session.execute(update(said).where(said.user_id == user_id).values(**empty))
    # What was anonymised before, and what was logged while this ran.
    session.execute(update(tables.Answer).where(tables.Answer.user_id == user_id).values(user_id=None))
    in_theirs = tables.Answer.conversation_id.in_(select(Conversation.id).where(Conversation.user_id == user_id))
    session.execute(
        update(tables.Answer).where(in_theirs).values(conversation_id=None).execution_options(synchronize_session=False)
    )
    session.execute(delete(Conversation).where(Conversation.user_id == user_id))
    session.execute(delete(tables.IdempotencyKey).where(_sent_by(user_id)))
    session.execute(delete(key_tables.User).where(key_tables.User.id == user_id))
    row = key_tables.AuditEvent
    for event in _events_naming(session, user_id):
        session.execute(
            update(row)
            .where(row.id == event.id)
            .values(
                user_id=ERASED if event.user_id == user_id else event.user_id,
                target=ERASED if event.target == user_id else event.target,
                details=_without(event.details, user_id),
            )
        )


def _without(value: Any, user_id: str) -> Any:
    """Details without the person, also where the id is a word among others, as in a query."""
    if isinstance(value, Mapping):
        return {name: _without(inner, user_id) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, user_id) for inner in value]
    if isinstance(value, str):
        return re.sub(rf"(?<![\w@.-]){re.escape(user_id)}(?![\w@-]|\.\w)", ERASED, value)
    return value


def _key_ids(user_id: str) -> Any:
    return select(tables.ApiKey.id).where(tables.ApiKey.user_id == user_id)


def _sent_by(user_id: str) -> ColumnElement[bool]:
    """What a kept response must fulfil that was sent to this person, whose id its scope begins with."""
    return tables.IdempotencyKey.scope.startswith(f"{json.dumps([user_id])[:-1]},", autoescape=True)


def _events_naming(session: Session, user_id: str) -> list[AuditEvent]:
    """The audit events that name a person, in order: who did it, to whom, or in its details."""
    row = key_tables.AuditEvent
    words = json.dumps(user_id, ensure_ascii=False)[1:-1]  # as it stands within a string of JSON
    likely = or_(
        row.user_id == user_id, row.target == user_id, cast(row.details, Text).contains(words, autoescape=True)
    )
    found = session.execute(select(row.__table__).where(likely).order_by(row.id))
    events = [AuditEvent(**event._mapping) for event in found]
    return [
        event
        for event in events
        if user_id in (event.user_id, event.target) or _without(event.details, user_id) != event.details
    ]
