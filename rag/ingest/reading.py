"""The first step of a run: from files, rows and lines to batches of documents, hashed and signed."""

import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from rag.errors import InvalidInput
from rag.ingest.batch import Batch, FinishedFile, PendingDocument
from rag.ingest.document_lines import read_lines
from rag.ingest.engine import Engine, ReadFile, read_ahead
from rag.ingest.files import is_gone, sha256_if_readable
from rag.ingest.labels import LabelledDocument, Labels
from rag.ingest.preparation import Preparer
from rag.ingest.prepared_document import PreparedDocument, prepare
from rag.ingest.readers.limits import Limits
from rag.ingest.readers.raw_file import FieldNames
from rag.ingest.readers.registry import holds_records
from rag.ingest.report import SourceReason
from rag.records import Document
from rag.store.database import Database
from rag.store.document_sources import AlikeDocuments, documents_alike
from rag.store.documents import files_with_hash

BATCH_CHARS = 100_000
"""Text in one transaction: some hundred passages, a second or two of embedding between two steps of progress."""
BATCH_DOCUMENTS = 128
BATCH_FILES = 500
BATCH_SECONDS = 2.0
"""Longest time that what was read, or found unchanged, waits for more."""


class Reading:
    """Makes the batches of one run. Used by one thread."""

    def __init__(
        self,
        database: Database,
        preparer: Preparer,
        *,
        collection_id: int,
        labels: Labels,
        limits: Limits,
        fields: FieldNames,
    ) -> None:
        self._database, self._collection_id = database, collection_id
        self._pipeline, self._labels, self._limits, self._fields = preparer.pipeline, labels, limits, fields
        self._documents: list[PendingDocument] = []
        self._finished: list[FinishedFile] = []
        self._refused: list[SourceReason] = []
        self._num_chars = 0
        self._begun = time.monotonic()
        self._moved: dict[str, str] = {}

    def paths(self, paths: Sequence[Path], engine: Engine) -> Generator[Batch, None, None]:
        """Batches of all documents of these files; a file whose documents are known and unchanged is not read."""
        for path, read in read_ahead(engine, self._wanted(paths), self._limits, self._fields):
            yield from self._path(path, read)
        yield from self._rest()

    def documents(
        self, file: str, sha256: str, documents: Iterable[Document], *, fields: str = ""
    ) -> Generator[Batch, None, None]:
        """Batches of the documents of one file that is read elsewhere."""
        prepared = (prepare(document, pipeline=self._pipeline + fields) for document in documents)
        yield from self._file(file, sha256, prepared)
        yield from self._rest()

    def lines(self, lines: BinaryIO, *, uri: str) -> Generator[Batch, None, None]:
        """Batches of the documents of an export; lines that cannot be taken are refused under ``uri``."""

        def refuse(number: int, reason: str) -> None:
            self._refused.append(SourceReason(source=f"{uri}#line={number}", reason=reason))

        limit = self._limits.max_document_chars
        for labelled in read_lines(lines, max_document_chars=limit, on_refused=refuse):
            yield from self._add(prepare(labelled.document, pipeline=self._pipeline), labelled)
        yield from self._rest()

    def _wanted(self, paths: Sequence[Path]) -> Iterable[tuple[Path, str | None, int]]:
        """Each file with its hash, and the number of its documents if all of them are as they were."""
        for path in paths:
            uri, sha256 = path.as_uri(), sha256_if_readable(path)
            with self._database.read() as session:
                stored = documents_alike(session, self._collection_id, uri)
                known = [] if stored or sha256 is None else files_with_hash(session, self._collection_id, sha256)
            former = next((file for file in known if is_gone(file) and file not in self._moved.values()), None)
            if former is not None:
                self._moved[uri] = former
            is_unchanged = all(self._is_unchanged(path, sha256, one) for one in stored)
            yield path, sha256, sum(one.num_documents for one in stored) if is_unchanged else 0

    def _is_unchanged(self, path: Path, sha256: str | None, stored: AlikeDocuments) -> bool:
        return (
            stored.file_sha256 == sha256
            and stored.pipeline == self._pipeline + self._fields_of(path)
            and self._labels.keep_readers(stored)
            and dict(stored.tags) == dict(self._labels.tags)
        )

    def _fields_of(self, path: Path) -> str:
        return self._fields.described if holds_records(path.name) else ""

    def _path(self, path: Path, read: ReadFile) -> Generator[Batch, None, None]:
        uri = path.as_uri()
        if read.documents is None:
            yield from self._finish(FinishedFile(file=uri, status="unchanged", num_documents=read.num_unchanged))
            return
        pipeline = self._pipeline + self._fields_of(path)
        yield from self._file(uri, read.sha256 or "", read.prepared(pipeline))

    def _file(self, file: str, sha256: str, documents: Iterable[PreparedDocument]) -> Generator[Batch, None, None]:
        sources: set[str] = set()
        losses: list[str] = []
        if file in self._moved:
            # Before the first of its documents, which would else be stored as new ones.
            yield from self._rest(moved=((self._moved[file], file),))
        try:
            for prepared in documents:
                sources.add(prepared.document.source)
                losses += prepared.document.losses
                # Its file's hash comes when all of the file is stored: a file is skipped when its documents bear it.
                labelled = LabelledDocument(document=prepared.document, file_sha256="", labels=self._labels)
                yield from self._add(prepared, labelled)
        except InvalidInput as error:
            finished = FinishedFile(
                file=file, status="refused", num_documents=len(sources), sources=sources, reasons=(str(error),)
            )
        else:
            finished = FinishedFile(
                file=file,
                status="partly read" if losses else "read",
                num_documents=len(sources),
                sources=sources,
                sha256=sha256,
                is_whole=True,
                reasons=tuple(losses),
            )
        yield from self._finish(finished)

    def _add(self, prepared: PreparedDocument, labelled: LabelledDocument) -> Generator[Batch, None, None]:
        pending = PendingDocument(prepared=prepared, labelled=labelled)
        if any(other.source == pending.source for other in self._documents):
            yield from self._rest()  # passages of a batch are kept by source, so one source comes once in it
        self._documents.append(pending)
        self._num_chars += len(prepared.document.text)
        if self._num_chars >= BATCH_CHARS or len(self._documents) >= BATCH_DOCUMENTS:
            yield from self._rest()

    def _finish(self, finished: FinishedFile) -> Generator[Batch, None, None]:
        self._finished.append(finished)
        if len(self._finished) >= BATCH_FILES or time.monotonic() - self._begun >= BATCH_SECONDS:
            yield from self._rest()

    def _rest(self, moved: tuple[tuple[str, str], ...] = ()) -> Generator[Batch, None, None]:
        if self._documents or self._finished or self._refused or moved:
            yield Batch(
                documents=tuple(self._documents),
                finished=tuple(self._finished),
                refused=tuple(self._refused),
                moved=moved,
            )
        self._documents, self._finished, self._refused, self._num_chars = [], [], [], 0
        self._begun = time.monotonic()
