"""The audit: administrative acts, and looks at what others have asked.

An event is written in the transaction of the act where that is one, so that neither stands without the other. What is
only read is told after the event has been committed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from rag.errors import InvalidInput
from rag.records import Caller
from rag.store.database import Database
from rag.store.key_tables import AuditEvent as AuditEventRow
from rag.store.tables import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Who did what to what.

    Without a user it was the command line, whose user of the operating system is in ``details`` as ``os_user``, or a
    caller who needed no key.
    """

    id: int
    created_at: datetime
    user_id: str | None
    api_key_id: int | None
    action: str
    target: str | None
    details: Mapping[str, Any]
    request_id: str | None


def put_audit_event(
    session: Session,
    caller: Caller,
    action: str,
    *,
    target: int | str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down what ``caller`` does, with the rest of the transaction.

    ``action`` is a noun and a verb, as ``key.create``. ``details`` hold no secret and no word of documents or answers.
    """
    session.execute(
        insert(AuditEventRow),
        {
            "created_at": datetime.now(UTC),
            "user_id": caller.user_id,
            "api_key_id": caller.api_key_id,
            "action": action,
            "target": None if target is None else str(target),
            "details": {**(details or {}), **({"os_user": caller.os_user} if caller.os_user else {})},
            "request_id": caller.request_id,
        },
    )


def audit_reading(database: Database, caller: Caller, action: str, answer_ids: Sequence[int]) -> None:
    """Write down that ``caller`` reads these answers, if others have asked any of them. Call it before they are shown.

    Raises:
        StoreUnavailable: it cannot be written, so they must not be shown.
    """
    with database.read() as session:
        asked_by_me = Answer.user_id.is_not_distinct_from(caller.user_id)
        statement = select(Answer.id).where(Answer.id.in_(answer_ids), ~asked_by_me).order_by(Answer.id)
        of_others = session.scalars(statement).all()
    if of_others:
        target = of_others[0] if len(of_others) == 1 else None
        details = {} if target is not None else {"answer_ids": list(of_others)}
        with database.write() as session:
            put_audit_event(session, caller, action, target=target, details=details)


def audit_conversations(database: Database, caller: Caller, users: Mapping[int, str | None]) -> None:
    """Write down that ``caller`` sees what these conversations begin with, if any are others'; whose each is, by id.

    Raises:
        StoreUnavailable: it cannot be written, so they must not be shown.
    """
    of_others = sorted(number for number, user_id in users.items() if user_id != caller.user_id)
    if of_others:
        with database.write() as session:
            details = {"conversation_ids": of_others}
            put_audit_event(session, caller, "conversation.list", details=details)


def list_audit_events(
    session: Session,
    *,
    user_id: str | None = None,
    action: str | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> list[AuditEvent]:
    """Events, newest first; ``before_id`` continues after the last of a page.

    Raises:
        InvalidInput: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    row = AuditEventRow
    wanted = []
    if user_id is not None:
        wanted.append(row.user_id == user_id)
    if action is not None:
        wanted.append(row.action == action)
    if before_id is not None:
        wanted.append(row.id < before_id)
    statement = select(row.__table__).where(*wanted).order_by(row.id.desc()).limit(limit)
    return [AuditEvent(**found._mapping) for found in session.execute(statement)]
