"""Storing one prepared document, and removing one: what happens inside a transaction.

All decisions are made here, under the collection's lock, so that two runs at once cannot store a document twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag.ingest.labels import Labels
from rag.ingest.near_duplicates import NearDuplicates, signature_of
from rag.ingest.passage_vectors import (
    PassageVectors,
    embedded_passages,
    is_marked,
    repeatable_hashes,
)
from rag.ingest.preparation import Preparer
from rag.ingest.prepared_document import PreparedDocument
from rag.records import Document, Passage
from rag.store.database import Session
from rag.store.documents import (
    DocumentDetails,
    StoredDocument,
    duplicates_of,
    find_by_source,
    find_identical,
    get_document,
    get_stored,
    insert_document,
    mark_deleted,
    new_version,
    set_duplicate_of,
    update_metadata,
)
from rag.store.erasure import erase_document
from rag.store.index_changes import lock_collection
from rag.store.near_duplicates import current_text, near_duplicates_of, remove_bands
from rag.store.passage_vectors import vectors_of_document
from rag.store.passages import PassageHashes, remove_passages, replace_passages
from rag.store.repeated_passages import MIN_DOCUMENTS, count_documents, mark_repeated, unmarked_passages
from rag.text.clean import normalized_sha256
from rag.text.context import embedded_passage

OutcomeKind = Literal["added", "updated", "unchanged", "exact_duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a document. ``duplicate_of`` and ``near_duplicate_of`` are document ids."""

    document_id: int
    kind: OutcomeKind
    duplicate_of: int | None = None
    near_duplicate_of: int | None = None
    num_passages: int = 0
    num_passages_reused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeated:
    """The ids of the documents that a document repeats; at most one is set."""

    exactly: int | None = None
    nearly: int | None = None


def has_words(stored: StoredDocument | None, text_sha256: str) -> bool:
    """Whether the document is there with the same words."""
    return stored is not None and stored.deleted_at is None and stored.text_sha256 == text_sha256


def is_current(stored: StoredDocument | None, *, text_sha256: str, pipeline: str) -> bool:
    """Whether the stored document has the same words, split the same way."""
    return stored is not None and has_words(stored, text_sha256) and stored.pipeline == pipeline


def says_the_same(stored: StoredDocument, document: Document, labels: Labels) -> bool:
    """Whether all that is known of a stored document beside its words is what is said of it now."""
    told = (document.title, dict(document.metadata), dict(labels.tags))
    return labels.keep_readers(stored) and told == (stored.title, dict(stored.metadata), dict(stored.tags))


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
        passages: Sequence[Passage] | None,
        vectors: PassageVectors,
        *,
        file_sha256: str,
        labels: Labels,
        min_version: int = 1,
    ) -> Outcome:
        """Add a document, or a new version of it, or note that nothing changed.

        ``passages`` may be None where none were expected to be needed; they are then made here if they are. So are
        ``vectors`` that are missing.
        """
        lock_collection(session, self._collection_id)
        document = prepared.document
        stored = find_by_source(session, self._collection_id, document.source)
        keeps_place = self._keeps_place(session, stored, prepared, labels)
        if stored and keeps_place and stored.pipeline == prepared.pipeline:
            return self._update_labels(session, stored, prepared, file_sha256=file_sha256, labels=labels)
        if stored and not keeps_place:
            self._give_up_place(session, stored, vectors)
        if stored and keeps_place and labels.deduplicate:
            repeated = _Repeated(exactly=stored.duplicate_of, nearly=stored.near_duplicate_of)
        else:
            repeated = self._find_repeated(session, prepared, stored, labels)
        details = _details(prepared, repeated, labels, stored, file_sha256=file_sha256, min_version=min_version)
        if stored:
            document_id, version = stored.id, new_version(session, stored.id, document, details)
        else:
            document_id, version = insert_document(session, self._collection_id, document, details), min_version
        num_passages = num_reused = 0
        if repeated.exactly is None:
            passages = self._preparer.split(document.text, document.sections) if passages is None else passages
            num_passages = len(passages)
            num_reused = self._write_passages(
                session, document_id, version, document.title, passages, vectors, has_former=stored is not None
            )
        elif stored:
            remove_passages(session, document_id, self._collection_id)
        is_new = stored is None or stored.deleted_at is not None
        return Outcome(
            document_id=document_id,
            kind="exact_duplicate" if repeated.exactly is not None else "added" if is_new else "updated",
            duplicate_of=repeated.exactly,
            near_duplicate_of=repeated.nearly,
            num_passages=num_passages,
            num_passages_reused=num_reused,
        )

    def remove(self, session: Session, document_id: int) -> None:
        """Take a document out of the collection; its oldest exact duplicate, if any, takes its place."""
        lock_collection(session, self._collection_id)
        stored = get_stored(session, document_id)
        # Its heir has the same words, so mostly the same vectors; they go with its passages.
        known = vectors_of_document(session, document_id, self._preparer.embedding_model)
        mark_deleted(session, document_id)
        self._give_up_place(session, stored, self._preparer.vectors(self._collection_id, known=known))

    def erase(self, session: Session, document_id: int, *, reason: str) -> list[int]:
        """Take a document out, then erase it (see ``rag.store.erasure``); returns the ids of datasets that it left."""
        if get_stored(session, document_id).deleted_at is None:
            self.remove(session, document_id)
        return erase_document(session, document_id, reason=reason)

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
        is_same = says_the_same(stored, document, labels)
        if not is_same or stored.file_sha256 != file_sha256:
            update_metadata(
                session,
                stored.id,
                title=document.title,
                tags=labels.tags,
                metadata=document.metadata,
                origin=labels.origin,
                access_labels=labels.access_labels_for(stored),
                file_sha256=file_sha256,
            )
        return Outcome(document_id=stored.id, kind="unchanged" if is_same else "updated")

    def _write_passages(
        self,
        session: Session,
        document_id: int,
        version: int,
        title: str,
        passages: Sequence[Passage],
        vectors: PassageVectors,
        *,
        has_former: bool,
    ) -> int:
        """Put passages in the place of all that a document has, if any; returns how many took over their vector.

        Words that stand in many documents with this one, or with the rest of its batch, are marked as repeated, here
        and wherever else they stand.
        """
        candidates = repeatable_hashes(passages)
        counts = count_documents(session, self._collection_id, candidates, exclude_ids=[document_id])
        repeated = {sha256 for sha256, num in counts.items() if num + 1 >= MIN_DOCUMENTS}
        repeated |= candidates & vectors.repeated
        embedded = embedded_passages(title, passages, repeated)
        replace_passages(
            session,
            document_id,
            self._collection_id,
            version,
            passages,
            vectors.get(session, embedded),  # those of the former passages among them
            vectors.embedding_model,
            hashes=[
                PassageHashes(
                    text_sha256=normalized_sha256(passage.text),
                    embedded_sha256=one.sha256,
                    is_repeated=is_marked(passage, repeated),
                )
                for passage, one in zip(passages, embedded, strict=True)
            ],
            has_former=has_former,
        )
        num_reused = vectors.count_reused(embedded)
        if repeated:
            self._mark_repeated(session, repeated, vectors)
        return num_reused

    def _mark_repeated(self, session: Session, repeated: set[str], vectors: PassageVectors) -> None:
        """Mark the passages that stood there before it was known that their words are repeated ones."""
        others = unmarked_passages(session, self._collection_id, repeated)
        embedded = [embedded_passage(one.title, one.headings, one.text, is_repeated=True) for one in others]
        mark_repeated(
            session,
            self._collection_id,
            vectors.embedding_model,
            [other.passage_id for other in others],
            vectors.get(session, embedded),
            [one.sha256 for one in embedded],
        )

    def _keeps_place(
        self, session: Session, stored: StoredDocument | None, prepared: PreparedDocument, labels: Labels
    ) -> bool:
        """Whether what the document repeats, and what repeats it, is as it was."""
        if stored is None or not has_words(stored, prepared.text_sha256):
            return False
        if labels.keep_readers(stored) or not labels.deduplicate:
            return True
        # Others may see it from now on. That matters only where its words stand elsewhere as well.
        has_copies = stored.duplicate_of is not None or bool(duplicates_of(session, stored.id))
        return not has_copies and not self._find_identical(session, prepared, stored, labels)

    def _find_identical(
        self, session: Session, prepared: PreparedDocument, stored: StoredDocument | None, labels: Labels
    ) -> StoredDocument | None:
        return find_identical(
            session,
            self._collection_id,
            prepared.text_sha256,
            origin=labels.origin,
            access_labels=labels.access_labels_for(stored),
            exclude_id=stored.id if stored else None,
        )

    def _find_repeated(
        self, session: Session, prepared: PreparedDocument, stored: StoredDocument | None, labels: Labels
    ) -> _Repeated:
        if not labels.deduplicate:
            return _Repeated()
        original = self._find_identical(session, prepared, stored, labels)
        if original:
            return _Repeated(exactly=original.id)
        near = self._near_duplicates.find(
            session,
            self._collection_id,
            prepared.document.text,
            prepared.signature,
            document_id=stored.id if stored else None,
        )
        return _Repeated(nearly=near.document_id if near else None)

    def _give_up_place(self, session: Session, stored: StoredDocument, vectors: PassageVectors) -> None:
        """Nothing repeats a document any more once it is deleted or has other words.

        Its oldest exact duplicate has the same words and takes its place. With no such heir, the documents that nearly
        repeat it are looked at anew, as if they came one after the other.
        """
        remove_bands(session, stored.id)
        near_duplicates = near_duplicates_of(session, stored.id)
        duplicates = [document.id for document in duplicates_of(session, stored.id)]
        if duplicates:
            heir, *others = duplicates
            self._promote(session, heir, vectors, near_duplicate_of=stored.near_duplicate_of)
            for other in others:
                set_duplicate_of(session, other, duplicate_of=heir, near_duplicate_of=None)
            for document_id in near_duplicates:
                set_duplicate_of(session, document_id, duplicate_of=None, near_duplicate_of=heir)
            return
        for document_id in near_duplicates:
            remove_bands(session, document_id)
        for document_id in near_duplicates:
            text = current_text(session, document_id)
            near = self._near_duplicates.find(
                session, self._collection_id, text, signature_of(text), document_id=document_id
            )
            set_duplicate_of(
                session, document_id, duplicate_of=None, near_duplicate_of=near.document_id if near else None
            )

    def _promote(
        self, session: Session, document_id: int, vectors: PassageVectors, *, near_duplicate_of: int | None
    ) -> None:
        """Make an exact duplicate a document with passages of its own."""
        set_duplicate_of(session, document_id, duplicate_of=None, near_duplicate_of=near_duplicate_of)
        text = get_document(session, document_id)
        passages = self._preparer.split(text.text, text.sections)
        self._write_passages(session, document_id, text.version, text.title, passages, vectors, has_former=False)


def _details(
    prepared: PreparedDocument,
    repeated: _Repeated,
    labels: Labels,
    stored: StoredDocument | None,
    *,
    file_sha256: str,
    min_version: int,
) -> DocumentDetails:
    return DocumentDetails(
        file_sha256=file_sha256,
        text_sha256=prepared.text_sha256,
        pipeline=prepared.pipeline,
        origin=labels.origin,
        access_labels=labels.access_labels_for(stored),
        tags=labels.tags,
        signature=prepared.signature,
        duplicate_of=repeated.exactly,
        near_duplicate_of=repeated.nearly,
        min_version=min_version,
    )
