"""Storing one prepared document, and removing one: what happens inside a transaction.

All decisions are made here, under the collection's lock, so that two runs at once cannot store a document twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rag.ingest.near_duplicates import NearDuplicates, signature_of
from rag.ingest.preparation import PreparedDocument, PreparedPassages, Preparer
from rag.records import Origin
from rag.store.database import Session
from rag.store.documents import (
    DocumentDetails,
    StoredDocument,
    duplicates_of,
    find_by_source,
    find_identical,
    get_document,
    insert_document,
    mark_deleted,
    new_version,
    set_duplicate_of,
    update_metadata,
)
from rag.store.index_changes import lock_collection
from rag.store.passages import remove_passages, replace_passages

OutcomeKind = Literal["added", "updated", "unchanged", "exact_duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a document. ``duplicate_of`` and ``near_duplicate_of`` are document ids."""

    document_id: int
    kind: OutcomeKind
    duplicate_of: int | None = None
    near_duplicate_of: int | None = None
    num_passages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the caller of an ingestion says about its documents.

    ``deduplicate`` False keeps every document apart: an evaluation must find each of its paragraphs.
    """

    origin: Origin = "real"
    tags: Mapping[str, str]
    deduplicate: bool = True


def is_current(stored: StoredDocument | None, *, text_sha256: str, pipeline: str) -> bool:
    """Whether the stored document has the same words, split the same way."""
    return (
        stored is not None
        and stored.deleted_at is None
        and stored.text_sha256 == text_sha256
        and stored.pipeline == pipeline
    )


class DocumentStorer:
    """Stores and removes documents of one collection."""

    def __init__(self, preparer: Preparer, near_duplicates: NearDuplicates, collection_id: int) -> None:
        self._preparer = preparer
        self._near_duplicates = near_duplicates
        self._collection_id = collection_id

    def store(
        self,
        session: Session,
        prepared: PreparedDocument,
        passages: PreparedPassages | None,
        *,
        file_sha256: str,
        labels: Labels,
    ) -> Outcome:
        """Add a document, or a new version of it, or note that nothing changed.

        ``passages`` may be None where none were expected to be needed; they are then made here if they are.
        """
        lock_collection(session, self._collection_id)
        document = prepared.document
        stored = find_by_source(session, self._collection_id, document.source)
        if stored and is_current(stored, text_sha256=prepared.text_sha256, pipeline=prepared.pipeline):
            return self._update_labels(session, stored, prepared, file_sha256=file_sha256, labels=labels)
        original = near = None
        if labels.deduplicate:
            original = find_identical(
                session, self._collection_id, prepared.text_sha256, exclude_id=stored.id if stored else None
            )
        if labels.deduplicate and original is None:
            near = self._near_duplicates.find(prepared.signature, other_than=stored.id if stored else None)
        details = DocumentDetails(
            file_sha256=file_sha256,
            text_sha256=prepared.text_sha256,
            pipeline=prepared.pipeline,
            origin=labels.origin,
            tags=labels.tags,
            signature=prepared.signature,
            duplicate_of=original.id if original else None,
            near_duplicate_of=near,
        )
        if stored:
            document_id, version = stored.id, new_version(session, stored.id, document, details)
        else:
            document_id, version = insert_document(session, self._collection_id, document, details), 1
        num_passages = 0
        if original:
            remove_passages(session, document_id, self._collection_id)
            self._near_duplicates.put(document_id, None)
        else:
            num_passages = self._write_passages(session, document_id, version, prepared, passages)
        if stored:
            self._promote_duplicate(session, document_id)
        kind: OutcomeKind = (
            "exact_duplicate" if original else "updated" if stored and not stored.deleted_at else "added"
        )
        return Outcome(
            document_id=document_id,
            kind=kind,
            duplicate_of=original.id if original else None,
            near_duplicate_of=near,
            num_passages=num_passages,
        )

    def remove(self, session: Session, document_id: int) -> None:
        """Take a document out of the collection; its oldest exact duplicate, if any, takes its place."""
        lock_collection(session, self._collection_id)
        mark_deleted(session, document_id)
        self._near_duplicates.put(document_id, None)
        self._promote_duplicate(session, document_id)

    def _update_labels(
        self,
        session: Session,
        stored: StoredDocument,
        prepared: PreparedDocument,
        *,
        file_sha256: str,
        labels: Labels,
    ) -> Outcome:
        document = prepared.document
        told = (document.title, dict(document.metadata), dict(labels.tags), labels.origin)
        known = (stored.title, dict(stored.metadata), dict(stored.tags), stored.origin)
        if told != known or stored.file_sha256 != file_sha256:
            update_metadata(
                session,
                stored.id,
                title=document.title,
                tags=labels.tags,
                metadata=document.metadata,
                origin=labels.origin,
                file_sha256=file_sha256,
            )
        return Outcome(document_id=stored.id, kind="unchanged" if told == known else "updated")

    def _write_passages(
        self,
        session: Session,
        document_id: int,
        version: int,
        prepared: PreparedDocument,
        passages: PreparedPassages | None,
    ) -> int:
        document = prepared.document
        if passages is None:
            passages = self._preparer.passages([(document.title, document.text, document.sections)])[0]
        replace_passages(
            session,
            document_id,
            self._collection_id,
            version,
            passages.passages,
            passages.vectors,
            self._preparer.embedding_model,
        )
        self._near_duplicates.put(document_id, prepared.signature)
        return len(passages.passages)

    def _promote_duplicate(self, session: Session, original_id: int) -> None:
        """Exact duplicates of a document that no longer has those words: the oldest becomes the original."""
        duplicates = duplicates_of(session, original_id)
        if not duplicates:
            return
        heir, *others = duplicates
        text = get_document(session, heir.id)
        passages = self._preparer.passages([(text.title, text.text, text.sections)])[0]
        set_duplicate_of(session, heir.id, duplicate_of=None, near_duplicate_of=None)
        for other in others:
            set_duplicate_of(session, other.id, duplicate_of=heir.id, near_duplicate_of=None)
        replace_passages(
            session,
            heir.id,
            self._collection_id,
            text.version,
            passages.passages,
            passages.vectors,
            self._preparer.embedding_model,
        )
        self._near_duplicates.put(heir.id, signature_of(text.text))
