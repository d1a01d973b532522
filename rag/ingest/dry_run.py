"""What a run would do, found out by reading only: nothing is embedded and nothing is written."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rag.config import Settings
from rag.errors import InvalidInput, NotFound
from rag.ingest.files import file_sha256, find_files
from rag.ingest.near_duplicates import NearDuplicates
from rag.ingest.preparation import PreparedDocument, Preparer
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import FieldNames
from rag.ingest.readers.registry import holds_records, read_file
from rag.ingest.report import IngestionReport, SourcePair, SourceReason
from rag.ingest.storing import is_current
from rag.store.collections import Collection, get_collection
from rag.store.database import Database, Session
from rag.store.documents import documents_of_file, find_by_source, find_identical, get_document, signatures
from rag.store.runs import RunCounts


class _Preview:
    """Keeps what has been seen; documents that would be added get negative ids."""

    def __init__(
        self,
        session: Session,
        preparer: Preparer,
        settings: Settings,
        collection: Collection | None,
        fields: FieldNames,
    ) -> None:
        self._session, self._preparer, self._collection, self._fields = session, preparer, collection, fields
        self._limits = limits_of(settings)
        stored = signatures(session, collection.id) if collection else ()
        self._near_duplicates = NearDuplicates(stored, threshold=settings.near_duplicate_threshold)
        self._new_sources: dict[int, str] = {}
        self._new_texts: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.exact_duplicates: list[SourcePair] = []
        self.near_duplicates: list[SourcePair] = []
        self.refused: list[SourceReason] = []
        self.partly_read: list[SourceReason] = []

    def refuse(self, source: str, reason: str) -> None:
        self.counts["num_refused"] += 1
        self.refused.append(SourceReason(source=source, reason=reason))

    def read(self, path: Path) -> None:
        sha256 = file_sha256(path)
        fields = self._fields.described if holds_records(path.name) else ""
        if self._collection:
            known = documents_of_file(self._session, self._collection.id, path.as_uri())
            pipeline = self._preparer.pipeline + fields
            if known and all(d.file_sha256 == sha256 and d.pipeline == pipeline for d in known):
                self.counts["num_unchanged"] += len(known)
                return
        try:
            for document in read_file(path, limits=self._limits, fields=self._fields):
                self.partly_read.extend(SourceReason(source=document.file, reason=loss) for loss in document.losses)
                self._classify(self._preparer.prepare(document, fields=fields))
        except InvalidInput as error:
            self.refuse(path.as_uri(), str(error))

    def _classify(self, prepared: PreparedDocument) -> None:
        source = prepared.document.source
        stored = find_by_source(self._session, self._collection.id, source) if self._collection else None
        if is_current(stored, text_sha256=prepared.text_sha256, pipeline=prepared.pipeline):
            self.counts["num_unchanged"] += 1
            return
        original = self._original(prepared.text_sha256, stored.id if stored else None)
        if original:
            self.counts["num_exact_duplicates"] += 1
            self.exact_duplicates.append(SourcePair(source=source, of=original))
            return
        self.counts["num_updated" if stored and not stored.deleted_at else "num_added"] += 1
        near = self._near_duplicates.find(prepared.signature, other_than=stored.id if stored else None)
        if near is not None:
            self.counts["num_near_duplicates"] += 1
            of = self._new_sources.get(near) or get_document(self._session, near).document.source
            self.near_duplicates.append(SourcePair(source=source, of=of))
        number = stored.id if stored else -len(self._new_sources) - 1
        self._new_sources[number] = source
        self._new_texts[prepared.text_sha256] = source
        self._near_duplicates.put(number, prepared.signature)

    def _original(self, text_sha256: str, exclude_id: int | None) -> str | None:
        if text_sha256 in self._new_texts:
            return self._new_texts[text_sha256]
        if self._collection is None:
            return None
        found = find_identical(self._session, self._collection.id, text_sha256, exclude_id=exclude_id)
        return found.source if found else None


def preview(
    database: Database,
    preparer: Preparer,
    settings: Settings,
    paths: Sequence[Path],
    *,
    collection: str,
    fields: FieldNames,
) -> IngestionReport:
    """Read all files and say what an ingestion would do with them.

    Raises:
        InvalidInput: a path does not exist, or there is nothing to read.
    """
    started = time.perf_counter()
    with database.read() as session:
        try:
            stored = get_collection(session, collection)
        except NotFound:
            stored = None
        seen = _Preview(session, preparer, settings, stored, fields)
        for path in find_files(paths, on_unreadable=lambda path, reason: seen.refuse(path.as_uri(), reason)):
            seen.read(path)
    counts = {name: seen.counts[name] for name in RunCounts.__dataclass_fields__}
    return IngestionReport(
        run_id=None,
        collection=collection,
        **counts,
        exact_duplicates=tuple(seen.exact_duplicates),
        near_duplicates=tuple(seen.near_duplicates),
        refused=tuple(seen.refused),
        partly_read=tuple(seen.partly_read),
        seconds=time.perf_counter() - started,
    )
