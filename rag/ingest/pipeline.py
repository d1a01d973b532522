"""The ingestion pipeline: starts runs, logs them in SQL, and closes them whatever happens."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rag.config import Settings
from rag.errors import InvalidInput, NotFound, RagError, UnreadableDocument
from rag.ingest.dry_run import preview
from rag.ingest.preparation import Preparer
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS, FieldNames
from rag.ingest.report import IngestionProgress, IngestionReport
from rag.ingest.run import IngestionRun, upload_source
from rag.ingest.sql_rows import ColumnNames, row_documents
from rag.ingest.storing import Labels
from rag.records import Document
from rag.store.collections import Collection, get_collection_by_id, get_or_create_collection
from rag.store.database import Database
from rag.store.documents import StoredDocument, documents_of_file, get_document
from rag.store.runs import finish_run, start_run
from rag.store.sql_source import SqlSource

OnProgress = Callable[[IngestionProgress], None]


def silent(_: IngestionProgress) -> None:
    """Progress that nobody looks at."""


class Ingester:
    """Puts documents into collections and takes them out."""

    def __init__(self, database: Database, preparer: Preparer, settings: Settings) -> None:
        self._database, self._preparer, self._settings = database, preparer, settings

    def ingest(
        self,
        paths: Sequence[Path],
        *,
        collection: str,
        labels: Labels,
        fields: FieldNames = NO_FIELDS,
        prune: bool = False,
        dry_run: bool = False,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Ingest all files at and below ``paths``.

        Args:
            paths: files and folders.
            collection: its name; made if it is not there.
            labels: tags and origin of the documents.
            fields: which fields of JSON records hold their text, title and id.
            prune: also remove the documents whose files are gone from ``paths``.
            dry_run: write nothing, only say what would be added, updated and refused (removals are not looked for).
            on_progress: called after each file and each batch.

        Raises:
            InvalidInput: a path does not exist, there is nothing to read, or the collection has another model.
            StoreUnavailable: the database cannot be written. What was committed before stays.
        """
        if dry_run:
            return preview(self._database, self._preparer, self._settings, paths, collection=collection, fields=fields)
        started = time.perf_counter()
        with self._run(collection, [str(path) for path in paths], labels, on_progress, fields) as run:
            run.read_paths(paths, prune=prune)
        return run.report(seconds=time.perf_counter() - started)

    def upload(self, data: bytes, *, name: str, collection: str, labels: Labels) -> list[StoredDocument]:
        """Ingest one file given as bytes; returns its documents.

        Raises:
            UnreadableDocument: nothing, or not everything, could be read from it.
        """
        with self._run(collection, [upload_source(name)], labels, silent) as run:
            run.read_upload(data, name=name)
        report = run.report(seconds=0.0)
        if report.refused:
            raise UnreadableDocument(report.refused[0].reason)
        with self._database.read() as session:
            return documents_of_file(session, run.collection.id, upload_source(name))

    def ingest_documents(
        self,
        documents: Iterable[Document],
        *,
        file: str,
        file_sha256: str,
        collection: str,
        labels: Labels,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Ingest documents that were read elsewhere, all of the one file of that URI and hash."""
        started = time.perf_counter()
        with self._run(collection, [file], labels, on_progress) as run:
            run.read_documents(file, file_sha256, documents)
        return run.report(seconds=time.perf_counter() - started)

    def ingest_rows(
        self,
        source: SqlSource,
        *,
        columns: ColumnNames,
        collection: str,
        labels: Labels,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Ingest the rows of a query, each a document; those that it gives no longer are removed.

        Raises:
            InvalidInput: the query is wrong, lacks one of ``columns``, or the collection has another model.
            StoreUnavailable: a database does not answer.
        """
        return self.ingest_documents(
            row_documents(source, columns, limits_of(self._settings)),
            file=source.uri,
            file_sha256="",
            collection=collection,
            labels=labels,
            on_progress=on_progress,
        )

    def remove(self, document_id: int) -> None:
        """Take a document out of its collection. Its versions stay, so that answers that cite it can be checked.

        Raises:
            NotFound: there is no such document, or it is deleted already.
        """
        with self._database.read() as session:
            stored = get_document(session, document_id).document
            name = get_collection_by_id(session, stored.collection_id).name
        if stored.deleted_at is not None:
            raise NotFound(f"Document {document_id} is deleted already.")
        with self._run(name, [stored.source], Labels(tags={}), silent) as run:
            run.remove(document_id)

    @contextmanager
    def _run(
        self,
        collection: str,
        paths: Sequence[str],
        labels: Labels,
        on_progress: OnProgress,
        fields: FieldNames = NO_FIELDS,
    ) -> Iterator[IngestionRun]:
        with self._database.write() as session:
            opened = get_or_create_collection(session, collection, embedding_model=self._preparer.embedding_model)
            self._check_model(opened)
            run_id = start_run(session, opened.id, paths=paths)
        run = IngestionRun(
            self._database,
            self._preparer,
            self._settings,
            opened,
            run_id=run_id,
            labels=labels,
            on_progress=on_progress,
            fields=fields,
        )
        try:
            yield run
        except KeyboardInterrupt:
            self._finish(run_id, run, "interrupted")
            raise
        except RagError:
            self._finish(run_id, run, "failed")
            raise
        self._finish(run_id, run, "finished")

    def _finish(self, run_id: int, run: IngestionRun, status: Literal["finished", "failed", "interrupted"]) -> None:
        with self._database.write() as session:
            finish_run(session, run_id, status=status, counts=run.counts)

    def _check_model(self, collection: Collection) -> None:
        if collection.embedding_model != self._preparer.embedding_model:
            raise InvalidInput(
                f"Collection {collection.name!r} was embedded with {collection.embedding_model!r}; "
                f"set embedding_model to that, or choose another collection."
            )
