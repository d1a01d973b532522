"""One ingestion run: read, drop duplicates, split, embed, commit.

Documents go through in batches, each one transaction or a few short ones, so memory stays flat and a run that is killed
loses at most the batches in work: the same command again goes on from there, since what is stored is recognised by its
hash. One thread reads and splits the next batches, one or more embed, and the caller's stores. Where reading and
embedding is done, an engine says (``engine.py``).
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence, Set
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rag.config import Settings
from rag.ingest.batch import Batch, FinishedFile, PendingDocument
from rag.ingest.engine import Engine, LocalEngine
from rag.ingest.files import bytes_sha256, find_files
from rag.ingest.labels import Labels
from rag.ingest.near_duplicates import NearDuplicates
from rag.ingest.overlap import ahead, side_by_side
from rag.ingest.passage_vectors import PassageVectors
from rag.ingest.preparation import Preparer
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS, FieldNames
from rag.ingest.readers.registry import read_bytes
from rag.ingest.reading import Reading
from rag.ingest.report import IngestionProgress, IngestionReport, SourcePair, SourceReason
from rag.ingest.storing import DocumentStorer, Outcome, is_current
from rag.records import Caller, Document, Origin
from rag.store.audit import put_audit_event
from rag.store.collections import Collection
from rag.store.database import Database, Session
from rag.store.document_sources import sources_of_file
from rag.store.documents import (
    find_by_source,
    find_identical,
    get_stored,
    list_documents,
    rename_file,
    seal_file,
)
from rag.store.embedding_generations import active_model
from rag.store.index_changes import lock_collection
from rag.store.runs import FileState, RunCounts, add_failure, begin_files, put_file_states, update_counts

BATCHES_READ_AHEAD = 2
BATCHES_EMBEDDED_AHEAD = 1
MAX_WRITING_S = 1.0
"""After so long in one transaction a batch goes on in another: uploads and deletions wait for its end."""
REMOVED_AT_ONCE = 200
"""Documents that one transaction takes out."""


def upload_source(name: str) -> str:
    """The source of an uploaded file: a name, never a path on this machine."""
    return f"upload:{name}"


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
        engine: Engine | None = None,
    ) -> None:
        """``engine`` None reads and embeds in this process."""
        self._database, self._preparer = database, preparer
        self._engine = engine or LocalEngine()
        self._collection, self._run_id, self._labels = collection, run_id, labels
        self._limits, self._fields = limits_of(settings), fields
        self._on_progress = on_progress
        self._tally = _Tally()
        self._num_files = self._num_files_done = 0
        self._near_duplicates = NearDuplicates(threshold=settings.near_duplicate_threshold)
        self._storer = DocumentStorer(preparer, self._near_duplicates, collection.id)

    def read_paths(self, paths: Sequence[Path], *, prune: bool) -> None:
        """Ingest all files at and below ``paths``; with ``prune``, remove documents whose files are gone from there."""
        files = find_files(paths, on_unreadable=lambda path, reason: self._refuse(path.absolute().as_uri(), reason))
        self._num_files = len(files)
        with self._database.write() as session:
            begin_files(session, self._run_id, [path.as_uri() for path in files])
        self._work(self._reading().paths(files, self._engine))
        if prune:
            self.prune(paths, keep={path.as_uri() for path in files})

    def prune(self, paths: Sequence[Path], *, keep: Set[str]) -> None:
        """Remove the documents whose file lay at or below one of ``paths``, except files whose URIs are in ``keep``."""
        roots = [path.absolute().as_uri() for path in paths]
        after_id = 0
        while True:
            with self._database.read() as session:
                page = list_documents(session, self._collection.id, filters={}, after_id=after_id, limit=1_000)
            if not page:
                return
            after_id = page[-1].id
            gone = [
                stored.id
                for stored in page
                if any(stored.file == root or stored.file.startswith(f"{root}/") for root in roots)
                and stored.file not in keep
            ]
            for start in range(0, len(gone), REMOVED_AT_ONCE):
                self._remove(gone[start : start + REMOVED_AT_ONCE])

    def read_upload(self, data: bytes, *, name: str) -> None:
        """Ingest one file given as bytes. A later upload of the same name is a new version."""
        source, sha256 = upload_source(name), bytes_sha256(data)
        documents = read_bytes(data, name=name, source=source, limits=self._limits, fields=self._fields)
        self.read_documents(source, sha256, documents)

    def read_documents(self, file: str, sha256: str, documents: Iterable[Document]) -> None:
        """Ingest documents that were read elsewhere, as those of the file of that URI and hash."""
        self._work(self._reading().documents(file, sha256, documents))

    def read_lines(self, lines: BinaryIO, *, uri: str) -> None:
        """Store the documents of an export again, each with its own file and labels; nothing is removed.

        A line that cannot be taken is refused under ``uri`` with its number.
        """
        self._work(self._reading().lines(lines, uri=uri))

    def remove(self, document_id: int) -> None:
        """Take one document out."""
        self._remove([document_id])

    def erase(self, document_id: int, *, reason: str, caller: Caller) -> list[int]:
        """Erase one document; returns the ids of the datasets that it left."""
        with self._database.write() as session:
            dataset_ids = self._storer.erase(session, document_id, reason=reason)
            put_audit_event(session, caller, "document.erase", target=document_id, details={"reason": reason})
        self._tally.counts["num_removed"] += 1
        return dataset_ids

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

    def _reading(self) -> Reading:
        return Reading(
            self._database,
            self._preparer,
            collection_id=self._collection.id,
            labels=self._labels,
            limits=self._limits,
            fields=self._fields,
        )

    def _work(self, batches: Generator[Batch, None, None]) -> None:
        split = self._split(batches)
        with closing(ahead(self._embed(split), num=BATCHES_EMBEDDED_AHEAD)) as embedded:
            try:
                for batch in embedded:
                    self._store(batch)
            finally:  # closing waits for what is under way, which another machine might never end
                self._engine.cancel()

    def _split(self, batches: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        with closing(batches):
            for batch in batches:
                needed = self._needed(batch.documents)
                passages = {pending.source: self._preparer.passages(pending.prepared) for pending in needed}
                yield replace(batch, passages=passages)

    def _embed(self, split: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        return side_by_side(self._with_vectors, ahead(split, num=BATCHES_READ_AHEAD), num=self._engine.num_embedders)

    def _with_vectors(self, batch: Batch) -> Batch:
        preparer = self._preparer
        titles = {pending.source: pending.prepared.document.title for pending in batch.documents}
        vectors = preparer.vectors(self._collection.id)
        vectors.expect(
            self._database,
            [(source, titles[source], passages) for source, passages in batch.passages.items()],
            embed=partial(self._engine.embed, preparer),
        )
        return replace(batch, vectors=vectors)

    def _needed(self, documents: Sequence[PendingDocument]) -> list[PendingDocument]:
        """Those that will need passages, as far as can be told before the transaction."""
        needed: list[PendingDocument] = []
        with self._database.read() as session:
            for pending in documents:
                prepared, labels = pending.prepared, pending.labelled.labels
                stored = find_by_source(session, self._collection.id, prepared.document.source)
                if is_current(stored, text_sha256=prepared.text_sha256, pipeline=prepared.pipeline):
                    continue
                if labels.deduplicate and find_identical(
                    session,
                    self._collection.id,
                    prepared.text_sha256,
                    origin=labels.origin,
                    access_labels=labels.access_labels_for(stored),
                    exclude_id=stored.id if stored else None,
                ):
                    continue
                if labels.deduplicate and any(prepared.text_sha256 == other.prepared.text_sha256 for other in needed):
                    continue  # repeated within the batch; should it be needed after all, it is made when stored
                needed.append(pending)
        return needed

    def _store(self, batch: Batch) -> None:
        """Commit a batch, then count what became of it: in one transaction, or in several where one would take long."""
        rest: Batch | None = batch
        while rest is not None:
            before, is_stored = self._tally.counts.copy(), False
            try:
                with self._database.write() as session:
                    rest = self._store_in(session, rest)
                is_stored = True
            finally:
                if not is_stored:
                    self._tally.counts = before
        self._num_files_done += len(batch.finished)
        self._report(batch)

    def _store_in(self, session: Session, batch: Batch) -> Batch | None:
        """Store a batch, or what there is time for; returns the rest of it."""
        vectors = self._vectors(session, batch)
        num_moved = sum(
            rename_file(session, self._collection.id, former=former, present=present) for former, present in batch.moved
        )
        # First, or a record that has another source by now would be taken for a copy of itself.
        num_removed = sum(self._remove_gone(session, finished) for finished in batch.finished if finished.is_whole)
        self._tally.counts.update(num_moved=num_moved, num_removed=num_removed)
        # What has left its place must come to another one in the same transaction, however long that takes.
        max_s = math.inf if num_moved or num_removed else MAX_WRITING_S
        rest = batch.documents[self._store_documents(session, batch, vectors, max_s=max_s) :]
        if not rest:
            self._finish(session, batch)
        update_counts(session, self._run_id, self.counts)
        return replace(batch, documents=rest) if rest else None

    def _store_documents(self, session: Session, batch: Batch, vectors: PassageVectors, *, max_s: float) -> int:
        """Store the first document and those after it that ``max_s`` seconds leave time for; returns how many."""
        until = time.monotonic() + max_s
        outcomes: list[tuple[PendingDocument, Outcome]] = []
        for pending in batch.documents:
            if outcomes and time.monotonic() >= until:
                break
            outcome = self._storer.store(
                session,
                pending.prepared,
                batch.passages.get(pending.source),
                vectors,
                file_sha256=pending.labelled.file_sha256,
                labels=pending.labelled.labels,
                min_version=pending.labelled.min_version,
            )
            outcomes.append((pending, outcome))
        self._count(session, outcomes)
        return len(outcomes)

    def _finish(self, session: Session, batch: Batch) -> None:
        """Note what was refused, and which files are read."""
        for refused in batch.refused:
            add_failure(session, self._run_id, source=refused.source, reason=refused.reason)
        for finished in batch.finished:
            if finished.status == "refused":
                add_failure(session, self._run_id, source=finished.file, reason="; ".join(finished.reasons))
            elif finished.is_whole:
                seal_file(session, self._collection.id, finished.file, finished.sha256)
        put_file_states(session, self._run_id, [_state(finished) for finished in batch.finished])
        self._count_files(batch)

    def _vectors(self, session: Session, batch: Batch) -> PassageVectors:
        """The vectors of a batch, unless the collection is searched by another model since they were made."""
        lock_collection(session, self._collection.id)
        active = active_model(session, self._collection.id)
        if active != self._preparer.embedding_model:
            self._preparer = self._preparer.with_model(active)
            self._storer = DocumentStorer(self._preparer, self._near_duplicates, self._collection.id)
        if batch.vectors is None or batch.vectors.embedding_model != active:
            return self._preparer.vectors(self._collection.id)
        return batch.vectors

    def _remove_gone(self, session: Session, finished: FinishedFile) -> int:
        """Remove what a file does not hold any longer; returns how many documents those are."""
        known = list(sources_of_file(session, self._collection.id, finished.file))
        gone = [document_id for document_id, source in known if source not in finished.sources]
        for document_id in gone:
            self._storer.remove(session, document_id)
        return len(gone)

    def _count(self, session: Session, outcomes: Sequence[tuple[PendingDocument, Outcome]]) -> None:
        names = {
            "added": "num_added",
            "updated": "num_updated",
            "unchanged": "num_unchanged",
            "exact_duplicate": "num_exact_duplicates",
        }
        tally = self._tally
        for pending, outcome in outcomes:
            tally.counts[names[outcome.kind]] += 1
            tally.origins[pending.labelled.labels.origin] += 1
            tally.counts["num_passages"] += outcome.num_passages
            tally.counts["num_passages_reused"] += outcome.num_passages_reused
            if outcome.duplicate_of is not None:
                of = get_stored(session, outcome.duplicate_of).source
                tally.exact_duplicates.append(SourcePair(source=pending.source, of=of))
            if outcome.near_duplicate_of is not None:
                tally.counts["num_near_duplicates"] += 1
                of = get_stored(session, outcome.near_duplicate_of).source
                tally.near_duplicates.append(SourcePair(source=pending.source, of=of))

    def _count_files(self, batch: Batch) -> None:
        tally = self._tally
        for finished in batch.finished:
            if finished.status == "unchanged":
                tally.counts["num_unchanged"] += finished.num_documents
                tally.origins[self._labels.origin] += finished.num_documents
            reasons = [SourceReason(source=finished.file, reason=reason) for reason in finished.reasons]
            (tally.refused if finished.status == "refused" else tally.partly_read).extend(reasons)
        tally.refused.extend(batch.refused)
        tally.counts["num_refused"] += len(batch.refused) + sum(f.status == "refused" for f in batch.finished)

    def _refuse(self, source: str, reason: str) -> None:
        """Note at once what cannot even be looked at."""
        with self._database.write() as session:
            add_failure(session, self._run_id, source=source, reason=reason)
        self._tally.counts["num_refused"] += 1
        self._tally.refused.append(SourceReason(source=source, reason=reason))

    def _remove(self, document_ids: Sequence[int]) -> None:
        with self._database.write() as session:
            for document_id in document_ids:
                self._storer.remove(session, document_id)
        self._tally.counts["num_removed"] += len(document_ids)

    def _report(self, batch: Batch) -> None:
        last = batch.documents[-1].prepared.document.title if batch.documents else ""
        self._on_progress(
            IngestionProgress(
                num_files=self._num_files,
                num_files_done=self._num_files_done,
                num_documents=self._tally.origins.total() + self._tally.counts["num_refused"],
                num_passages=self._tally.counts["num_passages"],
                current=last or (batch.finished[-1].file.rpartition("/")[2] if batch.finished else ""),
            )
        )


def _state(finished: FinishedFile) -> FileState:
    return FileState(
        file=finished.file,
        status=finished.status,
        num_documents=finished.num_documents,
        reason="; ".join(finished.reasons) or None,
    )
