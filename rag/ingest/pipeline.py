"""The ingestion pipeline: starts runs, logs them in SQL, and closes them whatever happens."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from rag.config import Settings
from rag.errors import InvalidInput, NotAllowed, NotFound, StoreUnavailable, UnreadableDocument
from rag.ingest.dry_run import preview_documents, preview_files
from rag.ingest.engine import Engine, LocalEngine
from rag.ingest.file_options import FileOptions
from rag.ingest.labels import Labels
from rag.ingest.preparation import Preparer
from rag.ingest.ray_engine import RayEngine
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS
from rag.ingest.report import IngestionProgress, IngestionReport, Upload
from rag.ingest.run import IngestionRun, upload_source
from rag.ingest.sql_rows import ColumnNames, row_documents
from rag.records import OWNER, Caller, Document
from rag.store.collections import Collection, get_collection, get_collection_by_id, get_or_create_collection
from rag.store.database import Database, Session
from rag.store.datasets import lock_of_datasets, remove_drafts
from rag.store.documents import documents_of_file, get_document, get_stored
from rag.store.runs import finish_run, last_run_over_files, mark_interrupted, start_run
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
        options: FileOptions,
        *,
        collection: str,
        wait: bool = True,
        on_wait: Callable[[], None] = lambda: None,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Ingest all files at and below ``paths``. One such run at a time works over a collection.

        Args:
            paths: files and folders.
            options: how.
            collection: its name; made if it is not there.
            wait: for another run to end; without it that is an error. ``on_wait`` is called where it has to.
            on_wait: see there.
            on_progress: called after each batch.

        Raises:
            InvalidInput: a path does not exist, there is nothing to read, or the collection's model is not here.
            Busy: another run over the collection is at work.
            ClusterUnavailable: the Ray cluster does not answer, or fails. What was committed before stays.
            StoreUnavailable: the database cannot be written. What was committed before stays.
        """
        started = time.perf_counter()
        opened = self._open(collection)
        with self._database.exclusive(f"ingest-{opened.id}", wait=wait, on_wait=on_wait):
            with self._database.write() as session:
                mark_interrupted(session, opened.id)
            names = [str(path.absolute()) for path in paths]
            with (
                self._engine(options) as engine,
                self._run(collection, names, options.labels, on_progress, options=options, engine=engine) as run,
            ):
                run.read_paths(paths, prune=options.prune)
        return run.report(seconds=time.perf_counter() - started)

    def resume(self, *, collection: str, wait: bool = True, on_progress: OnProgress = silent) -> IngestionReport:
        """Run the last run over files again as it was called, if it did not finish.

        Raises:
            InvalidInput: it did finish.
            NotFound: there was none, or there is no such collection.
        """
        with self._database.read() as session:
            last = last_run_over_files(session, get_collection(session, collection).id)
        if last.status == "finished":
            raise InvalidInput(f"The last run over {collection!r}, run {last.id}, has finished; name paths to read.")
        options = FileOptions.from_json(last.options or {})
        paths = [Path(path) for path in last.paths]
        return self.ingest(paths, options, collection=collection, wait=wait, on_progress=on_progress)

    def preview(self, paths: Sequence[Path], options: FileOptions, *, collection: str) -> IngestionReport:
        """What ``ingest`` would do, found out by reading only. See ``rag.ingest.dry_run``."""
        return preview_files(
            self._database,
            self._preparer,
            self._settings,
            paths,
            collection=collection,
            labels=options.labels,
            fields=options.field_names,
        )

    def remove_files(self, files: Sequence[Path], *, collection: str) -> int:
        """Take out the documents of files that are gone, or of those below a folder that is; returns how many."""
        uris = [path.absolute().as_uri() for path in files]
        with self._run(collection, uris, Labels(tags={}), silent) as run:
            run.prune(files, keep=set())
        return run.counts.num_removed

    def upload(self, data: bytes, *, name: str, collection: str, labels: Labels, caller: Caller = OWNER) -> Upload:
        """Ingest one file given as bytes.

        Raises:
            UnreadableDocument: nothing, or not everything, could be read from it.
            InvalidInput: ``caller`` may not see the document of that name that is there, or gives it a label that they
                do not hold.
            NotAllowed: ``caller`` is kept to other collections.
        """
        self.check_upload(name, collection=collection, labels=labels, caller=caller)
        with self._run(collection, [upload_source(name)], labels, silent) as run:
            run.read_upload(data, name=name)
        report = run.report(seconds=0.0)
        if report.refused:
            raise UnreadableDocument(report.refused[0].reason)
        with self._database.read() as session:
            documents = documents_of_file(session, run.collection.id, upload_source(name))
        return Upload(documents=tuple(documents), partly_read=report.partly_read)

    def begin_upload(
        self, *, name: str, collection: str, labels: Labels, caller: Caller, put: Callable[[Session, int], None]
    ) -> int:
        """Begin the run of an upload that :meth:`go_on_upload` works on later, and return its id.

        ``put`` notes in the same transaction what is needed for that, under the run's id.

        Raises:
            InvalidInput: as in :meth:`upload`.
        """
        self.check_upload(name, collection=collection, labels=labels, caller=caller)
        opened = self._open(collection)
        with self._database.write() as session:
            run_id = start_run(session, opened.id, paths=[upload_source(name)])
            put(session, run_id)
        return run_id

    def go_on_upload(self, run_id: int, data: bytes, *, name: str, collection: str, labels: Labels) -> IngestionReport:
        """Ingest one file given as bytes in a run that has begun. What cannot be read of it is in the report."""
        started = time.perf_counter()
        with self._run(collection, [], labels, silent, run_id=run_id) as run:
            run.read_upload(data, name=name)
        return run.report(seconds=time.perf_counter() - started)

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
            InvalidInput: the query is wrong, lacks one of ``columns``, or the collection's model is not here.
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

    def preview_rows(
        self, source: SqlSource, *, columns: ColumnNames, collection: str, labels: Labels
    ) -> IngestionReport:
        """What ``ingest_rows`` would do, found out by reading only. See ``rag.ingest.dry_run``."""
        return preview_documents(
            self._database,
            self._preparer,
            self._settings,
            source.uri,
            row_documents(source, columns, limits_of(self._settings)),
            collection=collection,
            labels=labels,
        )

    def import_documents(
        self, lines: BinaryIO, *, uri: str, collection: str, on_progress: OnProgress = silent
    ) -> IngestionReport:
        """Store the documents of an export again (see ``rag.ingest.document_lines``); nothing is ever removed.

        Each document keeps its own source, file, hashes, title, tags, metadata and origin, and a new one its version's
        number. ``uri`` says in reports where ``lines`` come from.

        Raises:
            InvalidInput: the collection's model is not here. A line that cannot be taken is refused in the report.
            StoreUnavailable: the database cannot be written. What was committed before stays.
        """
        started = time.perf_counter()
        with self._run(collection, [uri], Labels(tags={}), on_progress) as run:
            run.read_lines(lines, uri=uri)
        return run.report(seconds=time.perf_counter() - started)

    def remove(self, document_id: int, *, caller: Caller = OWNER) -> None:
        """Take a document out of its collection. Its versions stay, so that answers that cite it can be checked.

        Raises:
            NotFound: there is no such document, it is deleted already, or ``caller`` may not know of it.
        """
        with self._database.read() as session:
            stored = get_stored(session, document_id, caller=caller)
            name = get_collection_by_id(session, stored.collection_id).name
        if stored.deleted_at is not None:
            raise NotFound(f"Document {document_id} is deleted already.")
        with self._run(name, [stored.source], Labels(tags={}), silent) as run:
            run.remove(document_id)

    def erase(self, document_id: int, *, reason: str, caller: Caller = OWNER) -> list[int]:
        """Remove a document with all its versions for good, a deleted one as well. See ``rag.store.erasure``.

        Returns the ids of the datasets that it left; ``reason`` is kept with them and must not name the person.

        Raises:
            InvalidInput: the reason is blank.
            NotFound: there is no such document, it has been erased already, or ``caller`` may not know of it.
        """
        if not reason.strip():
            raise InvalidInput("An erasure needs a reason, which must not name the person.")
        with self._database.read() as session:
            found = get_document(session, document_id, caller=caller)
            collection = get_collection_by_id(session, found.document.collection_id)
        with self._database.exclusive(lock_of_datasets(collection.id)):
            remove_drafts(self._database, collection.id)
            with self._run(collection.name, [f"document {document_id}"], Labels(tags={}), silent) as run:
                return run.erase(document_id, reason=reason, caller=caller)

    def check_upload(self, name: str, *, collection: str, labels: Labels, caller: Caller) -> None:
        """Refuse an upload that :meth:`upload` would refuse before it reads the file; raises as it does."""
        if caller.collections is not None and collection not in caller.collections:
            open_to_caller = ", ".join(sorted(caller.collections))
            raise NotAllowed(f"Your key does not open the collection {collection!r}; it opens: {open_to_caller}.")
        held = caller.access_labels
        if held is None:
            return
        foreign = sorted(set(labels.access_labels or ()) - held)
        if foreign:
            raise InvalidInput(f"You do not hold the access label {foreign[0]!r}; leave it out.")
        with self._database.read() as session:
            try:
                found = get_collection(session, collection)
            except NotFound:
                return
            for stored in documents_of_file(session, found.id, upload_source(name)):
                if stored.access_labels and not held & set(stored.access_labels):
                    raise InvalidInput("A file of this name is there that you may not change; choose another name.")

    @contextmanager
    def _run(
        self,
        collection: str,
        paths: Sequence[str],
        labels: Labels,
        on_progress: OnProgress,
        *,
        options: FileOptions | None = None,
        engine: Engine | None = None,
        run_id: int | None = None,
    ) -> Iterator[IngestionRun]:
        opened = self._open(collection)
        is_taken_up_again = run_id is not None
        if run_id is None:
            with self._database.write() as session:
                run_id = start_run(session, opened.id, paths=paths, options=options.as_json() if options else None)
        run = IngestionRun(
            self._database,
            self._preparer.with_model(opened.embedding_model),
            self._settings,
            opened,
            run_id=run_id,
            labels=labels,
            on_progress=on_progress,
            fields=options.field_names if options else NO_FIELDS,
            engine=engine,
        )
        status: Literal["finished", "failed", "interrupted"] | None = "failed"
        try:
            yield run
            status = "finished"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        except StoreUnavailable:
            status = None if is_taken_up_again else "failed"
            raise
        finally:
            # Where the database is what failed, the run stays "running" until the next one finds it interrupted.
            with nullcontext() if status == "finished" else suppress(StoreUnavailable):
                if status is not None:
                    self._finish(run_id, run, status)

    def _engine(self, options: FileOptions) -> Engine:
        if options.engine == "ray":
            return RayEngine(options.address, workers=options.workers, passage_tokens=self._settings.passage_tokens)
        return LocalEngine(workers=options.workers)

    def _open(self, collection: str) -> Collection:
        with self._database.write() as session:
            return get_or_create_collection(session, collection, embedding_model=self._preparer.embedding_model)

    def _finish(self, run_id: int, run: IngestionRun, status: Literal["finished", "failed", "interrupted"]) -> None:
        with self._database.write() as session:
            finish_run(session, run_id, status=status, counts=run.counts)
