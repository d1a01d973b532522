"""One ingestion run: read, drop duplicates, split, embed, commit.

Documents are handled in batches, each one transaction, so memory stays flat and a run that is killed loses at most
the batch in work: the same command again goes on from there, since what is stored is recognised by its hash.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from rag.config import Settings
from rag.errors import InvalidInput
from rag.ingest.document_lines import read_lines
from rag.ingest.files import bytes_sha256, file_sha256, find_files
from rag.ingest.labels import LabelledDocument, Labels
from rag.ingest.near_duplicates import NearDuplicates
from rag.ingest.preparation import PreparedDocument, PreparedPassages, Preparer
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS, FieldNames
from rag.ingest.readers.registry import holds_records, read_bytes, read_file
from rag.ingest.report import IngestionProgress, IngestionReport, SourcePair, SourceReason
from rag.ingest.storing import DocumentStorer, Outcome, is_current
from rag.records import Document, Origin
from rag.store.collections import Collection
from rag.store.database import Database, Session
from rag.store.document_sources import sources_of_file
from rag.store.documents import (
    StoredDocument,
    documents_of_file,
    find_by_source,
    find_identical,
    get_document,
    list_documents,
    update_metadata,
)
from rag.store.runs import RunCounts, add_failure

BATCH_CHARS = 100_000
"""Text in one transaction: some hundred passages, a second or two of embedding between two steps of progress."""
BATCH_DOCUMENTS = 64


def upload_source(name: str) -> str:
    """The source of an uploaded file: a name, never a path on this machine."""
    return f"upload:{name}"


@dataclass(frozen=True, slots=True)
class _Pending:
    prepared: PreparedDocument
    labelled: LabelledDocument


@dataclass(slots=True)
class _Tally:
    """What has happened so far in a run. ``counts`` is keyed by the names of ``RunCounts``."""

    counts: Counter[str] = field(default_factory=Counter)
    origins: Counter[Origin] = field(default_factory=Counter)
    exact_duplicates: list[SourcePair] = field(default_factory=list)
    near_duplicates: list[SourcePair] = field(default_factory=list)
    refused: list[SourceReason] = field(default_factory=list)
    partly_read: list[SourceReason] = field(default_factory=list)


class IngestionRun:
    """One run over one collection. Made by ``Ingester``; not shared between threads."""

    def __init__(
        self,
        database: Database,
        preparer: Preparer,
        settings: Settings,
        collection: Collection,
        *,
        run_id: int,
        labels: Labels,
        on_progress: Callable[[IngestionProgress], None],
        fields: FieldNames = NO_FIELDS,
    ) -> None:
        self._database, self._preparer = database, preparer
        self._collection, self._run_id, self._labels = collection, run_id, labels
        self._limits, self._fields = limits_of(settings), fields
        self._on_progress = on_progress
        self._tally = _Tally()
        self._pending: list[_Pending] = []
        self._num_files = self._num_files_done = 0
        near_duplicates = NearDuplicates(threshold=settings.near_duplicate_threshold)
        self._storer = DocumentStorer(preparer, near_duplicates, collection.id)

    def read_paths(self, paths: Sequence[Path], *, prune: bool) -> None:
        """Ingest all files at and below ``paths``; with ``prune``, remove documents whose files are gone from there."""
        files = find_files(paths, on_unreadable=lambda path, reason: self._refuse(path.absolute().as_uri(), reason))
        self._num_files = len(files)
        for path in files:
            self._read_path(path)
            self._num_files_done += 1
            self._report(path.name)
        self._flush()
        if prune:
            self._prune(paths, {path.as_uri() for path in files})

    def read_upload(self, data: bytes, *, name: str) -> None:
        """Ingest one file given as bytes. A later upload of the same name is a new version."""
        source, sha256 = upload_source(name), bytes_sha256(data)
        documents = read_bytes(data, name=name, source=source, limits=self._limits, fields=self._fields)
        self.read_documents(source, sha256, documents)

    def read_documents(self, file: str, sha256: str, documents: Iterable[Document]) -> None:
        """Ingest documents that were read elsewhere, as those of the file of that URI and hash."""
        self._read_documents(file, sha256, documents)
        self._flush()

    def read_lines(self, lines: BinaryIO, *, uri: str) -> None:
        """Store the documents of an export again, each with its own file and labels; nothing is removed.

        A line that cannot be taken is refused under ``uri`` with its number.
        """
        documents = read_lines(
            lines,
            max_document_chars=self._limits.max_document_chars,
            on_refused=lambda number, reason: self._refuse(f"{uri}#line={number}", reason),
        )
        for document in documents:
            self._queue(document)
        self._flush()

    def remove(self, document_id: int) -> None:
        """Take one document out."""
        with self._database.write() as session:
            self._storer.remove(session, document_id)
        self._tally.counts["num_removed"] += 1

    @property
    def collection(self) -> Collection:
        """Where the documents go."""
        return self._collection

    @property
    def counts(self) -> RunCounts:
        """What has happened so far."""
        return RunCounts(**self._tally.counts)

    def report(self, *, seconds: float) -> IngestionReport:
        """What became of everything."""
        return IngestionReport(
            run_id=self._run_id,
            collection=self._collection.name,
            **asdict(self.counts),
            num_real=self._tally.origins["real"],
            num_synthetic=self._tally.origins["synthetic"],
            exact_duplicates=tuple(self._tally.exact_duplicates),
            near_duplicates=tuple(self._tally.near_duplicates),
            refused=tuple(self._tally.refused),
            partly_read=tuple(self._tally.partly_read),
            seconds=seconds,
        )

    def _read_path(self, path: Path) -> None:
        uri, sha256 = path.as_uri(), file_sha256(path)
        with self._database.read() as session:
            stored = documents_of_file(session, self._collection.id, uri)
        fields = self._fields.described if holds_records(path.name) else ""
        unchanged = stored and all(
            document.file_sha256 == sha256
            and document.pipeline == self._preparer.pipeline + fields
            and self._labels.keep_readers(document)
            and dict(document.tags) == dict(self._labels.tags)
            for document in stored
        )
        if unchanged:
            self._tally.counts["num_unchanged"] += len(stored)
            self._tally.origins[self._labels.origin] += len(stored)
            return
        documents = read_file(path, limits=self._limits, fields=self._fields)
        self._read_documents(uri, sha256 or "", documents, fields=fields)

    def _read_documents(self, file: str, sha256: str, documents: Iterable[Document], *, fields: str = "") -> None:
        """Queue a file's documents; those that it no longer holds are removed once it was read to its end."""
        sources: set[str] = set()
        try:
            for document in documents:
                sources.add(document.source)
                for loss in document.losses:
                    self._tally.partly_read.append(SourceReason(source=document.file, reason=loss))
                self._queue(LabelledDocument(document=document, file_sha256=sha256, labels=self._labels), fields=fields)
        except InvalidInput as error:
            self._refuse(file, str(error))
            # Some of its documents may be stored, and a file is skipped when its documents bear its hash. Without it
            # the next run reads the file again, and says again what is wrong with it.
            self._flush()
            with self._database.write() as session:
                known = sources_of_file(session, self._collection.id, file)
                for document_id in [document_id for document_id, source in known if source in sources]:
                    update_metadata(session, document_id, file_sha256="")
            return
        with self._database.read() as session:
            known = sources_of_file(session, self._collection.id, file)
            gone = [document_id for document_id, source in known if source not in sources]
        for document_id in gone:
            self.remove(document_id)

    def _queue(self, labelled: LabelledDocument, *, fields: str = "") -> None:
        source = labelled.document.source
        if any(pending.labelled.document.source == source for pending in self._pending):
            self._flush()  # passages of a batch are kept by source, so one source comes once in it
        self._pending.append(_Pending(self._preparer.prepare(labelled.document, fields=fields), labelled))
        num_chars = sum(len(pending.prepared.document.text) for pending in self._pending)
        if num_chars >= BATCH_CHARS or len(self._pending) >= BATCH_DOCUMENTS:
            self._flush()

    def _flush(self) -> None:
        """Embed and commit what is pending, in one transaction."""
        if not self._pending:
            return
        batch, self._pending = self._pending, []
        passages = self._embed_new(batch)
        outcomes: list[tuple[_Pending, Outcome]] = []
        with self._database.write() as session:
            for pending in batch:
                outcome = self._storer.store(
                    session,
                    pending.prepared,
                    passages.get(pending.prepared.document.source),
                    file_sha256=pending.labelled.file_sha256,
                    labels=pending.labelled.labels,
                    min_version=pending.labelled.min_version,
                )
                outcomes.append((pending, outcome))
        self._count(outcomes)
        self._report(batch[-1].prepared.document.title)

    def _embed_new(self, batch: Sequence[_Pending]) -> dict[str, PreparedPassages]:
        """Passages, by source, of the documents that will need them, as far as can be told before the transaction."""
        needed: dict[str, PreparedDocument] = {}
        with self._database.read() as session:
            for pending in batch:
                prepared = pending.prepared
                stored = find_by_source(session, self._collection.id, prepared.document.source)
                if is_current(stored, text_sha256=prepared.text_sha256, pipeline=prepared.pipeline):
                    continue
                labels = pending.labelled.labels
                if labels.deduplicate and self._is_known(session, prepared, stored, labels):
                    continue
                if labels.deduplicate and any(prepared.text_sha256 == other.text_sha256 for other in needed.values()):
                    continue  # a repetition within the batch; should it be none after all, it is split when stored
                needed[prepared.document.source] = prepared
        made = self._preparer.passages(
            [(p.document.title, p.document.text, p.document.sections) for p in needed.values()]
        )
        return dict(zip(needed, made, strict=True))

    def _is_known(
        self,
        session: Session,
        prepared: PreparedDocument,
        stored: StoredDocument | None,
        labels: Labels,
    ) -> bool:
        found = find_identical(
            session,
            self._collection.id,
            prepared.text_sha256,
            origin=labels.origin,
            access_labels=labels.access_labels_for(stored),
            exclude_id=stored.id if stored else None,
        )
        return found is not None

    def _count(self, outcomes: Sequence[tuple[_Pending, Outcome]]) -> None:
        names = {
            "added": "num_added",
            "updated": "num_updated",
            "unchanged": "num_unchanged",
            "exact_duplicate": "num_exact_duplicates",
        }
        for pending, outcome in outcomes:
            source = pending.prepared.document.source
            self._tally.counts[names[outcome.kind]] += 1
            self._tally.origins[pending.labelled.labels.origin] += 1
            self._tally.counts["num_passages"] += outcome.num_passages
            if outcome.duplicate_of is not None:
                self._tally.exact_duplicates.append(SourcePair(source=source, of=self._source(outcome.duplicate_of)))
            if outcome.near_duplicate_of is not None:
                self._tally.counts["num_near_duplicates"] += 1
                self._tally.near_duplicates.append(
                    SourcePair(source=source, of=self._source(outcome.near_duplicate_of))
                )

    def _source(self, document_id: int) -> str:
        with self._database.read() as session:
            return get_document(session, document_id).document.source

    def _refuse(self, source: str, reason: str) -> None:
        self._tally.counts["num_refused"] += 1
        self._tally.refused.append(SourceReason(source=source, reason=reason))
        with self._database.write() as session:
            add_failure(session, self._run_id, source=source, reason=reason)

    def _prune(self, paths: Sequence[Path], files: set[str]) -> None:
        """Remove the documents whose file lay at or below one of ``paths`` and is there no more."""
        roots = [path.absolute().as_uri() for path in paths]
        after_id = 0
        while True:
            with self._database.read() as session:
                page = list_documents(session, self._collection.id, filters={}, after_id=after_id, limit=1_000)
            if not page:
                return
            after_id = page[-1].id
            for stored in page:
                below = any(stored.file == root or stored.file.startswith(f"{root}/") for root in roots)
                if below and stored.file not in files:
                    self.remove(stored.id)

    def _report(self, current: str) -> None:
        self._on_progress(
            IngestionProgress(
                num_files=self._num_files,
                num_files_done=self._num_files_done,
                num_documents=self._tally.origins.total() + self._tally.counts["num_refused"],
                num_passages=self._tally.counts["num_passages"],
                current=current,
            )
        )
