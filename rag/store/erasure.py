"""Erasing a document for a person's sake: its words go for good, and what is left in its place names nobody.

Its row stays as an empty one, with the access labels: they still decide who may see logged answers that were read from
it. The answer log itself is not touched, since it says what people were told; :func:`remains_of` counts what it keeps.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from rag.errors import NotFound
from rag.records import OWNER, Caller
from rag.store import tables
from rag.store.access import answers_open_to, documents_open_to
from rag.store.datasets import erase_from_datasets
from rag.store.document_attributes import put_attributes
from rag.store.documents import get_stored, mark_deleted
from rag.store.index_changes import count_change


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Where the words of a document stand beside it, so that they stay when it is erased.

    answer_ids: logged answers that were shown passages of it.
    document_ids: documents of its collection with the same words, deleted ones as well; copies that differ are not
    looked for.
    """

    answer_ids: tuple[int, ...]
    document_ids: tuple[int, ...]


def remains_of(session: Session, document_id: int, *, caller: Caller = OWNER) -> Remains:
    """Where else the words of a document stand, as far as ``caller`` may know of it.

    Raises:
        NotFound: there is no such document, it has been erased, or ``caller`` may not know of it.
    """
    stored = get_stored(session, document_id, caller=caller)
    _check_not_erased(stored.source, document_id)
    shown = tables.AnswerPassage
    answer_ids = session.scalars(
        select(shown.answer_id)
        .where(shown.document_id == document_id, *answers_open_to(caller, shown.answer_id))
        .distinct()
        .order_by(shown.answer_id)
    )
    document_ids = session.scalars(
        select(tables.Document.id)
        .where(
            tables.Document.collection_id == stored.collection_id,
            tables.Document.text_sha256 == stored.text_sha256,
            tables.Document.id != document_id,
            *documents_open_to(caller),
        )
        .order_by(tables.Document.id)
    )
    return Remains(answer_ids=tuple(answer_ids), document_ids=tuple(document_ids))


def erase_document(session: Session, document_id: int, *, reason: str) -> list[int]:
    """Remove all words of a document, its name and what is known of it; returns the ids of the datasets that it left.

    ``reason`` is kept with those datasets and must not name the person. Whoever erases a document that others repeat
    makes one of ``duplicates_of`` the next original before, as when it is deleted. The caller holds the lock of
    ``erase_from_datasets``.

    Raises:
        NotFound: there is no such document, or it has been erased already.
    """
    _check_not_erased(get_stored(session, document_id).source, document_id)
    mark_deleted(session, document_id)  # takes the lock, its passages and what finds near duplicates
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA secure_delete = ON"))  # zeros over what goes, which not every build does
    dataset_ids = erase_from_datasets(session, document_id, reason=reason)
    session.execute(delete(tables.DocumentVersion).where(tables.DocumentVersion.document_id == document_id))
    put_attributes(session, document_id, tags={}, metadata={})
    place = _place_of_erased(document_id)
    collection_id = session.scalars(
        update(tables.Document)
        .where(tables.Document.id == document_id)
        .values(
            source=place,
            file=place,
            file_sha256="",
            title="",
            media_type="",
            tags={},
            document_metadata={},
            text_sha256="",
            duplicate_of=None,
            near_duplicate_of=None,
            signature=None,
            pipeline="",
            updated_at=datetime.now(UTC),
        )
        .returning(tables.Document.collection_id)
    ).one()
    count_change(session, collection_id)
    return dataset_ids


def _place_of_erased(document_id: int) -> str:
    """What stands where its source stood: no reader makes such a one."""
    return f"erased:{document_id}"


def is_erased(source: str, document_id: int) -> bool:
    """Whether a document with this source has been erased."""
    return source == _place_of_erased(document_id)


def _check_not_erased(source: str, document_id: int) -> None:
    if is_erased(source, document_id):
        raise NotFound(f"Document {document_id} has been erased.")
