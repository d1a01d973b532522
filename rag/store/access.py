"""Who may know of what: conditions that every query for a caller carries, on documents and on logged answers.

A caller may be kept to some collections, and then knows of nothing in others. Readers and contributors know of their
own answers only.

A document without access labels is open to all; one with labels is open to whoever holds at least one of them. A
logged answer is open to whoever holds all the labels that its asker held, and may see all documents that it was read
from, as these are labelled now; those of the answers by which its question was understood counted in.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, delete, insert, literal, or_, select
from sqlalchemy.orm import Session, aliased

from rag.errors import InvalidInput
from rag.records import OWNER, Caller
from rag.store.column_types import PlainText, check_plain_text
from rag.store.conversation_tables import AnswerContextDocument
from rag.store.tables import Answer, AnswerAccessLabel, AnswerPassage, Document, DocumentAccessLabel
from rag.store.tables import Collection as CollectionRow

ALL = "*"
"""Stands in the log for the labels of an asker who saw all documents. No label may be called so."""

SEE_ALL_ANSWERS = frozenset({"reviewer", "administrator"})
"""Roles that see everybody's answers."""


def checked_labels(labels: Collection[str]) -> list[str]:
    """Access labels as they are stored: each once, sorted.

    Raises:
        InvalidInput: one is empty, has blanks at its ends, is ``*`` or cannot be stored.
    """
    for label in labels:
        check_plain_text(label)
        if not label or label != label.strip() or label == ALL:
            raise InvalidInput(f"The access label {label!r} is empty, has blanks at its ends, or is {ALL!r}.")
    return sorted(set(labels))


def collections_open_to(caller: Caller) -> list[ColumnElement[bool]]:
    """What a row of ``collections`` must fulfil so that ``caller`` may know of it."""
    return [] if caller.collections is None else [CollectionRow.name.in_(sorted(caller.collections))]


def documents_open_to(caller: Caller) -> list[ColumnElement[bool]]:
    """What a row of ``documents`` must fulfil so that ``caller`` may know of it."""
    wanted: list[ColumnElement[bool]] = []
    if caller.collections is not None:
        wanted.append(Document.collection_id.in_(_collection_ids(caller)))
    if caller.access_labels is None:
        return wanted
    labelled = select(DocumentAccessLabel.document_id)
    held = labelled.where(DocumentAccessLabel.label.in_(sorted(caller.access_labels)))
    return [*wanted, or_(Document.id.in_(held), Document.id.not_in(labelled))]


def answers_open_to(caller: Caller, answer_id: SQLColumnExpression[int]) -> list[ColumnElement[bool]]:
    """What an answer of that id must fulfil so that ``caller`` may know of it."""
    wanted: list[ColumnElement[bool]] = []
    logged = aliased(Answer)  # the condition may stand in a query of answers
    if caller.collections is not None:
        wanted.append(answer_id.in_(select(logged.id).where(logged.collection_id.in_(_collection_ids(caller)))))
    if caller.role not in SEE_ALL_ANSWERS:
        # Without a user id, none: NULL equals nothing.
        wanted.append(answer_id.in_(select(logged.id).where(logged.user_id == literal(caller.user_id, PlainText()))))
    if caller.access_labels is None:
        return wanted
    held = sorted(caller.access_labels)
    asked_with_more = select(AnswerAccessLabel.answer_id).where(
        AnswerAccessLabel.answer_id == answer_id, AnswerAccessLabel.label.not_in(held)
    )
    labelled = select(DocumentAccessLabel.document_id)
    read_from_more, understood_by_more = (
        select(shown.answer_id).where(
            shown.answer_id == answer_id,
            shown.document_id.in_(labelled),
            shown.document_id.not_in(labelled.where(DocumentAccessLabel.label.in_(held))),
        )
        for shown in (AnswerPassage, AnswerContextDocument)
    )
    return [*wanted, ~asked_with_more.exists(), ~read_from_more.exists(), ~understood_by_more.exists()]


def put_document_labels(session: Session, document_id: int, labels: Collection[str]) -> None:
    """Replace the labels that a document is found by."""
    session.execute(delete(DocumentAccessLabel).where(DocumentAccessLabel.document_id == document_id))
    add_document_labels(session, document_id, labels)


def add_document_labels(session: Session, document_id: int, labels: Collection[str]) -> None:
    """Write the labels that a new document is found by."""
    rows = [{"document_id": document_id, "label": label} for label in checked_labels(labels)]
    if rows:
        session.execute(insert(DocumentAccessLabel), rows)


def put_asker(session: Session, answer_id: int, caller: Caller) -> None:
    """Log for whom an answer was made."""
    labels = [ALL] if caller.access_labels is None else sorted(caller.access_labels)
    if labels:
        session.execute(insert(AnswerAccessLabel), [{"answer_id": answer_id, "label": label} for label in labels])


def asker_of(session: Session, answer_id: int) -> Caller:
    """For whom an answer was made."""
    labels = session.scalars(select(AnswerAccessLabel.label).where(AnswerAccessLabel.answer_id == answer_id)).all()
    return OWNER if ALL in labels else Caller(access_labels=frozenset(labels))


def _collection_ids(caller: Caller) -> Select[int]:
    row = aliased(CollectionRow)  # the condition may stand in a query of collections
    return select(row.id).where(row.name.in_(sorted(caller.collections or ())))
