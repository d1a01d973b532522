"""Taking answers out of the log: deleting them, or keeping scores and timings without words and without a person.

Batches, each one transaction, so that nobody waits long and a run that was killed can be run again. What hangs on an
answer goes with it by its foreign keys; results of evaluations stay without it, and so do answers that built on it. A
conversation whose last answer goes, goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.records import RetentionMode
from rag.store import tables
from rag.store.answer_trace import TRACE
from rag.store.conversation_tables import Conversation
from rag.store.database import Database

BATCH_SIZE = 500
_WITH_WORDS = ("filters", TRACE)
"""The settings of an answer that tell of its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Which answers are to go. ``before``: given before that moment. ``user_id``: asked by that user.

    Those of evaluations are left where they are, unless ``with_evaluations``.
    """

    mode: RetentionMode
    before: datetime | None = None
    collection: str | None = None
    user_id: str | None = None
    with_evaluations: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalCounts:
    """What would go: answers, the feedback on them, and when the first and the last of them were given."""

    num_answers: int
    num_feedback: int
    first_at: datetime | None
    last_at: datetime | None


def count_removal(session: Session, removal: Removal) -> RemovalCounts:
    """What a removal would take, or anonymise; what is anonymised already does not count for that.

    Raises:
        NotFound: there is no such collection.
    """
    row = tables.Answer
    wanted = _wanted(session, removal)
    num, first, last = session.execute(
        select(func.count(), func.min(row.created_at), func.max(row.created_at)).where(*wanted)
    ).one()
    of_them = (
        select(func.count())
        .select_from(tables.Feedback)
        .where(tables.Feedback.answer_id.in_(select(row.id).where(*wanted)))
    )
    return RemovalCounts(num_answers=num, num_feedback=session.scalar(of_them) or 0, first_at=first, last_at=last)


def remove_answers(database: Database, removal: Removal, *, on_progress: Callable[[int], None] = lambda _: None) -> int:
    """Do it, and return how many answers that were.

    Raises:
        NotFound: there is no such collection.
    """
    num_done, last_id = 0, 0
    while True:
        with database.write() as session:
            ids = session.scalars(
                select(tables.Answer.id)
                .where(tables.Answer.id > last_id, *_wanted(session, removal))
                .order_by(tables.Answer.id)
                .limit(BATCH_SIZE)
                .with_for_update()
            ).all()
            if not ids:
                return num_done
            if session.get_bind().dialect.name == "sqlite":
                session.execute(text("PRAGMA secure_delete = ON"))  # zeros over what goes
            conversation_ids = _conversations_of(session, ids)
            (_delete if removal.mode == "delete" else _anonymise)(session, ids)
            _delete_empty_conversations(session, conversation_ids)
        num_done, last_id = num_done + len(ids), ids[-1]
        on_progress(num_done)


def _wanted(session: Session, removal: Removal) -> list[ColumnElement[bool]]:
    row = tables.Answer
    wanted: list[ColumnElement[bool]] = []
    if not removal.with_evaluations:
        wanted.append(row.evaluation_run_id.is_(None))
    if removal.before is not None:
        wanted.append(row.created_at < removal.before)
    if removal.user_id is not None:
        wanted.append(row.user_id == removal.user_id)
    if removal.collection is not None:
        named = session.scalar(select(tables.Collection.id).where(tables.Collection.name == removal.collection))
        if named is None:
            raise NotFound(f"There is no collection {removal.collection!r}.")
        wanted.append(row.collection_id == named)
    if removal.mode == "anonymise":
        wanted.append(row.question != "")
    return wanted


def _conversations_of(session: Session, answer_ids: Sequence[int]) -> list[int]:
    statement = (
        select(tables.Answer.conversation_id)
        .distinct()
        .where(tables.Answer.id.in_(answer_ids), tables.Answer.conversation_id.is_not(None))
    )
    found = sorted(one for one in session.scalars(statement) if one is not None)
    # Locked, so that no answer is being logged into one that goes.
    session.execute(
        select(Conversation.id).where(Conversation.id.in_(found)).order_by(Conversation.id).with_for_update()
    )
    return found


def _delete(session: Session, answer_ids: Sequence[int]) -> None:
    session.execute(delete(tables.Answer).where(tables.Answer.id.in_(answer_ids)))


def _anonymise(session: Session, answer_ids: Sequence[int]) -> None:
    row = tables.Answer
    for answer_id, settings in session.execute(select(row.id, row.settings).where(row.id.in_(answer_ids))).all():
        session.execute(
            update(row)
            .where(row.id == answer_id)
            .values(
                question="",
                answer="",
                standalone_question=None,
                settings={name: value for name, value in settings.items() if name not in _WITH_WORDS},
                user_id=None,
                conversation_id=None,
                previous_answer_id=None,
                based_on_answer_id=None,
            )
        )
    passage, citation, said = tables.AnswerPassage, tables.Citation, tables.Feedback
    session.execute(update(passage).where(passage.answer_id.in_(answer_ids)).values(text="", headings=[]))
    session.execute(update(citation).where(citation.answer_id.in_(answer_ids)).values(quote=""))
    session.execute(
        update(said).where(said.answer_id.in_(answer_ids)).values(comment=None, corrected_answer=None, user_id=None)
    )


def _delete_empty_conversations(session: Session, conversation_ids: Sequence[int]) -> None:
    in_it = select(tables.Answer.id).where(tables.Answer.conversation_id == Conversation.id)
    session.execute(
        delete(Conversation)
        .where(Conversation.id.in_(conversation_ids), ~in_it.correlate(Conversation).exists())
        .execution_options(synchronize_session=False)
    )
