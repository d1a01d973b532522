"""How an answer hangs together with others: its conversation, the answer before it, and the one that it builds on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, union
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.records import OWNER, Caller
from rag.store.access import answers_open_to
from rag.store.conversation_tables import AnswerContextDocument, Conversation
from rag.store.tables import Answer, AnswerPassage


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLinks:
    """What is said of a question beside its words.

    conversation_id: the conversation that it goes on with. new_conversation: it begins one. based_on_answer_id: the
    answer that it builds on, in a conversation or not. standalone_question: the form that was searched and read; None
    where that is the question itself. context_answer_ids: the answers before it by which that form was found.
    """

    conversation_id: int | None = None
    new_conversation: bool = False
    based_on_answer_id: int | None = None
    standalone_question: str | None = None
    context_answer_ids: tuple[int, ...] = ()


UNLINKED = AnswerLinks()
"""A question for itself."""


def link_values(
    session: Session, links: AnswerLinks, *, collection_id: int, caller: Caller, created_at: datetime
) -> Mapping[str, int | str | None]:
    """The columns of an answer that is about to be logged; its conversation is made where it begins one.

    Where its conversation or the answer it builds on was deleted while it was being made, it is logged without.
    """
    conversation_id, previous_answer_id = None, None
    if links.new_conversation:
        conversation = Conversation(collection_id=collection_id, user_id=caller.user_id, created_at=created_at)
        session.add(conversation)
        session.flush()
        conversation_id = conversation.id
    elif links.conversation_id is not None:
        # Two answers of one conversation are logged one after the other, so that both know the one before.
        conversation_id = session.scalar(
            select(Conversation.id).where(Conversation.id == links.conversation_id).with_for_update()
        )
        if conversation_id is not None:
            in_it = Answer.conversation_id == conversation_id
            previous_answer_id = session.scalar(select(func.max(Answer.id)).where(in_it))
    return {
        "conversation_id": conversation_id,
        "previous_answer_id": previous_answer_id,
        "based_on_answer_id": session.scalar(select(Answer.id).where(Answer.id == links.based_on_answer_id)),
        "standalone_question": links.standalone_question,
    }


def put_context(session: Session, answer_id: int, links: AnswerLinks) -> None:
    """Log the documents that stand behind the form in which a question was understood."""
    if not links.context_answer_ids:
        return
    read = select(AnswerPassage.document_id).where(AnswerPassage.answer_id.in_(links.context_answer_ids))
    behind = select(AnswerContextDocument.document_id).where(
        AnswerContextDocument.answer_id.in_(links.context_answer_ids)
    )
    rows = [
        {"answer_id": answer_id, "document_id": document_id} for document_id in session.scalars(union(read, behind))
    ]
    if rows:
        session.execute(insert(AnswerContextDocument), rows)


def chain_ids(session: Session, answer_id: int, *, caller: Caller = OWNER, limit: int = 100) -> list[int]:
    """The prompt chain that ends with an answer: the answer it builds on, the one that that builds on, and so on.

    In the order in which they were given, ``answer_id`` last, at most ``limit``. The chain begins after an answer that
    ``caller`` may not know of.

    Raises:
        NotFound: there is no such answer, or ``caller`` may not know of it.
    """
    ids: list[int] = []
    at: int | None = answer_id
    while at is not None and len(ids) < limit:
        found = session.execute(
            select(Answer.id, Answer.based_on_answer_id).where(Answer.id == at, *answers_open_to(caller, Answer.id))
        ).one_or_none()
        if found is None:
            break
        ids.append(found.id)
        at = found.based_on_answer_id
    if not ids:
        raise NotFound(f"There is no answer {answer_id}.")
    return ids[::-1]
