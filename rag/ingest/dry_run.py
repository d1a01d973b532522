"""What a run would do, found out by reading only: nothing is embedded and nothing is written.

What the run would store goes into a scratch database, for later documents to be compared with; so memory stays flat,
and nobody else has to wait. Of several documents that one nearly repeats, the run itself may name another one.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rag.config import Settings
from rag.errors import InvalidInput, NotFound
from rag.ingest.files import find_files, sha256_if_readable
from rag.ingest.labels import Labels
from rag.ingest.near_duplicates import NearDuplicates
from rag.ingest.preparation import Preparer
from rag.ingest.prepared_document import PreparedDocument
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS, FieldNames
from rag.ingest.readers.registry import holds_records, read_file
from rag.ingest.report import IngestionReport, SourcePair, SourceReason
from rag.ingest.storing import has_words, is_current, says_the_same
from rag.records import Document
from rag.store.collections import get_collection, get_or_create_collection
from rag.store.database import Database, Session
from rag.store.document_sources import sources_of_file
from rag.store.documents import (
    DocumentDetails,
    DocumentText,
    StoredDocument,
    documents_of_file,
    duplicates_of,
    find_by_source,
    find_identical,
    get_document,
    get_stored,
    insert_document,
    mark_deleted,
    new_version,
)
from rag.store.runs import RunCounts
from rag.store.scratch import scratch_database


@dataclass(slots=True)
class _Shelf:
    """Documents to compare with: a collection, and the ids of those that would have other words by now."""

    session: Session
    collection_id: int
    replaced: set[int] = field(default_factory=set)

    def source_of(self, document_id: int) -> str:
        return get_stored(self.session, document_id).source

    def find_identical(self, text_sha256: str, labels: Labels, stored: StoredDocument | None) -> StoredDocument | None:
        found = find_identical(
            self.session,
            self.collection_id,
            text_sha256,
            origin=labels.origin,
            access_labels=labels.access_labels_for(stored),
        )
        return None if found is None or found.id in self.replaced else found


class _Preview:
    """Keeps what has been seen. ``stored`` holds the collection, if there is one, ``new`` what the run would add."""

    def __init__(
        self,
        preparer: Preparer,
        settings: Settings,
        labels: Labels,
        fields: FieldNames,
        *,
        collection: str,
        stored: _Shelf | None,
        new: _Shelf,
    ) -> None:
        self._preparer, self._labels, self._fields = preparer, labels, fields
        self._limits, self._collection = limits_of(settings), collection
        self._stored, self._new = stored, new
        self._near_duplicates = NearDuplicates(threshold=settings.near_duplicate_threshold)
        self._started = time.perf_counter()
        self._counts: Counter[str] = Counter()
        self._exact_duplicates: list[SourcePair] = []
        self._near_duplicates_found: list[SourcePair] = []
        self._refused: list[SourceReason] = []
        self._partly_read: list[SourceReason] = []

    def report(self) -> IngestionReport:
        """What has been found out."""
        counts = {name: self._counts[name] for name in RunCounts.__dataclass_fields__}
        kept = sum(counts[name] for name in ("num_added", "num_updated", "num_unchanged", "num_exact_duplicates"))
        return IngestionReport(
            run_id=None,
            collection=self._collection,
            **counts,
            num_real=kept if self._labels.origin == "real" else 0,
            num_synthetic=kept if self._labels.origin == "synthetic" else 0,
            exact_duplicates=tuple(self._exact_duplicates),
            near_duplicates=tuple(self._near_duplicates_found),
            refused=tuple(self._refused),
            partly_read=tuple(self._partly_read),
            seconds=time.perf_counter() - self._started,
        )

    def refuse(self, source: str, reason: str) -> None:
        self._counts["num_refused"] += 1
        self._refused.append(SourceReason(source=source, reason=reason))

    def read(self, path: Path) -> None:
        sha256 = sha256_if_readable(path)
        fields = self._fields.described if holds_records(path.name) else ""
        if self._stored:
            known = documents_of_file(self._stored.session, self._stored.collection_id, path.as_uri())
            pipeline = self._preparer.pipeline + fields
            if known and all(self._is_unchanged(document, sha256, pipeline) for document in known):
                self._counts["num_unchanged"] += len(known)
                return
        self.read_documents(path.as_uri(), read_file(path, limits=self._limits, fields=self._fields), fields=fields)

    def read_documents(self, file: str, documents: Iterable[Document], *, fields: str = "") -> None:
        """Documents that are all those of one file."""
        sources: set[str] = set()
        try:
            for document in documents:
                sources.add(document.source)
                self._partly_read.extend(SourceReason(source=document.file, reason=loss) for loss in document.losses)
                self._classify(self._preparer.prepare(document, fields=fields))
        except InvalidInput as error:
            self.refuse(file, str(error))
            return
        if self._stored:
            known = sources_of_file(self._stored.session, self._stored.collection_id, file)
            self._counts["num_removed"] += sum(source not in sources for _, source in known)

    def _is_unchanged(self, stored: StoredDocument, sha256: str | None, pipeline: str) -> bool:
        return (
            stored.file_sha256 == sha256
            and stored.pipeline == pipeline
            and self._labels.keep_readers(stored)
            and dict(stored.tags) == dict(self._labels.tags)
        )

    def _classify(self, prepared: PreparedDocument) -> None:
        source = prepared.document.source
        stored = find_by_source(self._stored.session, self._stored.collection_id, source) if self._stored else None
        if stored and is_current(stored, text_sha256=prepared.text_sha256, pipeline=prepared.pipeline):
            is_same = says_the_same(stored, prepared.document, self._labels)
            self._counts["num_unchanged" if is_same else "num_updated"] += 1
            return
        if self._stored and stored and has_words(stored, prepared.text_sha256):
            links = (stored.duplicate_of, stored.near_duplicate_of)
            original, near = (None if link is None else self._stored.source_of(link) for link in links)
        else:
            original, near = self._find_repeated(prepared, stored)
        if original is not None:
            self._counts["num_exact_duplicates"] += 1
            self._exact_duplicates.append(SourcePair(source=source, of=original))
            return
        self._counts["num_updated" if stored and stored.deleted_at is None else "num_added"] += 1
        if near is not None:
            self._counts["num_near_duplicates"] += 1
            self._near_duplicates_found.append(SourcePair(source=source, of=near))

    def _find_repeated(
        self, prepared: PreparedDocument, stored: StoredDocument | None
    ) -> tuple[str | None, str | None]:
        """The sources of what a document with new words repeats, exactly and nearly; later ones may repeat it."""
        if self._stored and stored:
            self._give_up_place(self._stored, stored)
        shelves = [shelf for shelf in (self._stored, self._new) if shelf]
        for shelf in shelves:
            if original := shelf.find_identical(prepared.text_sha256, self._labels, stored):
                return original.source, None
        near, near_id, is_original = None, None, False
        for shelf in shelves:
            found = self._near_duplicates.find(
                shelf.session,
                shelf.collection_id,
                prepared.document.text,
                prepared.signature,
                replaced=shelf.replaced,
            )
            if found and (near is None or found.is_original > is_original):
                near, is_original = shelf.source_of(found.document_id), found.is_original
                # The ids of the other shelf mean nothing in the new one.
                near_id = found.document_id if shelf is self._new else None
        self._put_new(prepared, stored, near_duplicate_of=near_id)
        return None, near

    def _give_up_place(self, shelf: _Shelf, stored: StoredDocument) -> None:
        """The stored document has other words by now; its oldest exact duplicate, if any, takes its place."""
        shelf.replaced.add(stored.id)
        promoted = find_by_source(self._new.session, self._new.collection_id, stored.source)
        if promoted:
            mark_deleted(self._new.session, promoted.id)
        elif stored.duplicate_of is not None:
            return
        duplicates = duplicates_of(shelf.session, stored.duplicate_of or stored.id)
        heir = next((duplicate for duplicate in duplicates if duplicate.id not in shelf.replaced), None)
        if heir:
            self._put_new(self._preparer.prepare(_as_read(get_document(shelf.session, heir.id))), heir)

    def _put_new(
        self, prepared: PreparedDocument, stored: StoredDocument | None, *, near_duplicate_of: int | None = None
    ) -> None:
        details = DocumentDetails(
            file_sha256="",
            text_sha256=prepared.text_sha256,
            pipeline=self._preparer.pipeline,
            origin=self._labels.origin,
            access_labels=self._labels.access_labels_for(stored),
            signature=prepared.signature,
            near_duplicate_of=near_duplicate_of,
        )
        session, collection_id, document = self._new.session, self._new.collection_id, prepared.document
        before = find_by_source(session, collection_id, document.source)
        if before:
            new_version(session, before.id, document, details)
        else:
            insert_document(session, collection_id, document, details)


def _as_read(stored: DocumentText) -> Document:
    return Document(
        source=stored.document.source,
        file=stored.document.file,
        title=stored.title,
        media_type=stored.document.media_type,
        text=stored.text,
        sections=stored.sections,
        metadata=stored.document.metadata,
    )


def _stored_shelf(session: Session, collection: str) -> _Shelf | None:
    try:
        return _Shelf(session, get_collection(session, collection).id)
    except NotFound:
        return None


def preview_files(
    database: Database,
    preparer: Preparer,
    settings: Settings,
    paths: Sequence[Path],
    *,
    collection: str,
    labels: Labels,
    fields: FieldNames,
) -> IngestionReport:
    """Read all files and say what an ingestion would do with them.

    Raises:
        InvalidInput: a path does not exist, or there is nothing to read.
    """
    with _preview(database, preparer, settings, collection=collection, labels=labels, fields=fields) as seen:
        for path in find_files(paths, on_unreadable=lambda path, reason: seen.refuse(path.as_uri(), reason)):
            seen.read(path)
    return seen.report()


def preview_documents(
    database: Database,
    preparer: Preparer,
    settings: Settings,
    file: str,
    documents: Iterable[Document],
    *,
    collection: str,
    labels: Labels,
) -> IngestionReport:
    """Say what an ingestion would do with documents that are read elsewhere, all of the one file of that URI."""
    with _preview(database, preparer, settings, collection=collection, labels=labels, fields=NO_FIELDS) as seen:
        seen.read_documents(file, documents)
    return seen.report()


@contextmanager
def _preview(
    database: Database,
    preparer: Preparer,
    settings: Settings,
    *,
    collection: str,
    labels: Labels,
    fields: FieldNames,
) -> Iterator[_Preview]:
    with database.read() as session, scratch_database() as scratch, scratch.write() as scratch_session:
        made = get_or_create_collection(scratch_session, collection, embedding_model=preparer.embedding_model)
        yield _Preview(
            preparer,
            settings,
            labels,
            fields,
            collection=collection,
            stored=_stored_shelf(session, collection),
            new=_Shelf(scratch_session, made.id),
        )
