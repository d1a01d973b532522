"""Whole collections with their words, one document after the other: what an export reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from rag.records import Section
from rag.store import tables
from rag.store.document_values import stored_section
from rag.store.documents import StoredDocument, list_documents

DOCUMENTS_PER_PAGE = 200
TEXTS_PER_FETCH = 8
"""Texts in memory at once: each may be as long as ``max_document_chars``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentDocument:
    """A document as it stands now, with its text. ``duplicate_of`` is the source of the document that it repeats."""

    document: StoredDocument
    text: str
    sections: tuple[Section, ...]
    duplicate_of: str | None


def iter_current_documents(
    session: Session, collection_id: int, *, filters: Mapping[str, str]
) -> Iterator[CurrentDocument]:
    """The documents of a collection that fulfil ``filters`` and are not deleted, streamed from one snapshot.

    Those that repeat no other come first, each part by id. Whoever stores them again in this order finds the same
    originals, and gives ids in the same order.

    Raises:
        InvalidInput: a filter has no name.
    """
    for exact_duplicates in (False, True):
        after_id = 0
        while page := list_documents(
            session,
            collection_id,
            filters=filters,
            after_id=after_id,
            limit=DOCUMENTS_PER_PAGE,
            exact_duplicates=exact_duplicates,
        ):
            yield from _with_texts(session, page)
            after_id = page[-1].id


def _with_texts(session: Session, page: Sequence[StoredDocument]) -> Iterator[CurrentDocument]:
    documents = {document.id: document for document in page}
    originals = {document.duplicate_of for document in page if document.duplicate_of is not None}
    sources = dict(
        session.execute(
            select(tables.Document.id, tables.Document.source).where(tables.Document.id.in_(sorted(originals)))
        ).all()
    )
    version = tables.DocumentVersion
    statement = (
        select(version.document_id, version.text, version.sections)
        .join(
            tables.Document,
            and_(tables.Document.id == version.document_id, tables.Document.version == version.version),
        )
        .where(version.document_id.in_(list(documents)))
        .order_by(version.document_id)
        .execution_options(yield_per=TEXTS_PER_FETCH)
    )
    for document_id, text, sections in session.execute(statement):
        document = documents[document_id]
        yield CurrentDocument(
            document=document,
            text=text,
            sections=tuple(stored_section(section) for section in sections),
            duplicate_of=None if document.duplicate_of is None else sources[document.duplicate_of],
        )
