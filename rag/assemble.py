"""From settings to the wired parts: the only place where they are put together. ``rag.open()`` leads here."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import faiss
import torch

from rag.answer_queue import AnswerQueue
from rag.answerer import Answerer, AskOptions
from rag.cancellation import NEVER, Cancellation
from rag.config import Settings, load_settings
from rag.errors import InvalidInput
from rag.generators.chosen import chosen_language_model
from rag.generators.generator import Explainer, Generator
from rag.generators.reader_generator import ReaderGenerator, reader_passages
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.index.embedders import Embedders
from rag.index.index_set import IndexSet
from rag.index.milvus_index import MilvusEngine
from rag.index.milvus_server import MilvusServer
from rag.index.postgres_index import PostgresEngine
from rag.index.search_engine import SearchEngine
from rag.ingest.file_options import USUAL_OPTIONS, FileOptions
from rag.ingest.labels import NO_LABELS, Labels
from rag.ingest.pipeline import Ingester, OnProgress, silent
from rag.ingest.preparation import Preparer, carried_tokenizer
from rag.ingest.reembedding import Reembedded, Reembedding
from rag.ingest.report import IngestionReport
from rag.ingest.sql_rows import USUAL_COLUMNS, ColumnNames
from rag.ingest.uploads import UploadQueue
from rag.masking import LogMask, mask_of
from rag.observer import Observers
from rag.reader.reader import Reader, ReaderMode
from rag.records import OWNER, Answer, Caller, Explanation, Hit, SearchOptions, Turn
from rag.registry.model_registry import ModelRegistry
from rag.repeated_answers import RepeatedAnswers
from rag.replay import Replay, replay
from rag.retriever import AS_SET, Retriever
from rag.scoring.answer_relevancy import AnswerRelevancy
from rag.scoring.answerability import Answerability
from rag.scoring.confidence import Confidence
from rag.scoring.context_precision import ContextPrecision
from rag.scoring.faithfulness import Faithfulness
from rag.shared.answer_cache import AnswerCache
from rag.shared.server import SharedServer
from rag.store.answer_links import UNLINKED, AnswerLinks
from rag.store.collections import Collection, get_collection, get_collection_by_id
from rag.store.documents import get_stored
from rag.store.filters import Filters
from rag.store.log_writer import MIN_LIMIT_S, LogWriter
from rag.store.migrate import require_current
from rag.store.opening import open_database, require_keys
from rag.store.postgres_search_setup import require_search
from rag.store.sql_source import SqlSource
from rag.text.language import LanguageDetector
from rag.transformer.processor import choose_dtype

DEFAULT_COLLECTION = "default"


class Rag:
    """The whole service in one object. Parts that load models are made when first used, and kept.

    Safe to share between threads once made. Use it as a context manager, or call ``close``.
    """

    def __init__(self, settings: Settings, *, reader_mode: ReaderMode = "combined") -> None:
        """Open the database.

        Raises:
            InvalidInput: ``redis_url`` is not the URL of a Redis server, or a package that a setting needs is missing.
            StoreUnavailable: it cannot be opened, or is not migrated to this version, or not set up for its search.
        """
        self.settings = settings
        self.observers = Observers()
        self._reader_mode = reader_mode
        if settings.num_threads:
            torch.set_num_threads(settings.num_threads)
            faiss.omp_set_num_threads(settings.num_threads)
        self.shared_server = SharedServer(settings.redis_url) if settings.redis_url else None
        self.milvus = _milvus(settings)
        self.database = open_database(settings)
        require_current(self.database)
        require_keys(self.database)
        if settings.search == "postgres":
            require_search(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the indexes and the database."""
        if "indexes" in self.__dict__:
            self.indexes.close()
        if self.shared_server is not None:
            self.shared_server.close()
        self.database.dispose()

    @property
    def is_loaded(self) -> bool:
        """Whether what answers questions has been made."""
        return "answerer" in self.__dict__

    @cached_property
    def registry(self) -> ModelRegistry:
        """The models that come with the database."""
        return ModelRegistry(self.database, self.settings.model_dir)

    @cached_property
    def embedders(self) -> Embedders:
        """The embedding models, each loaded when first needed."""
        return Embedders(
            self.settings.embedding_model,
            dtype=choose_dtype(self.settings.embedding_dtype),
            batch_size=self.settings.embedding_batch_size,
            half_queries=self.settings.embedding_dtype != "float32",
            find_folder=partial(self.registry.folder, kind="embedding"),
        )

    @cached_property
    def indexes(self) -> SearchEngine:
        """The indexes of all collections: in this process, in PostgreSQL, or in Milvus."""
        kind = self.settings.vector_index
        made_of = self.database, self.embedders
        if self.settings.search == "postgres":
            return PostgresEngine(*made_of, vector_index=kind)
        if self.milvus is not None:
            num, wait_s = self.settings.milvus_replicas, self.settings.store_timeout_s
            return MilvusEngine(*made_of, self.milvus, vector_index=kind, num_replicas=num, wait_s=wait_s)
        return IndexSet(*made_of, self.settings.index_dir, vector_index=kind)

    @cached_property
    def retriever(self) -> Retriever:
        """Hybrid search."""
        return Retriever(
            self.database,
            self.embedders,
            self.indexes,
            lambda question, hits: self.reader.relevance(question, reader_passages(hits)),
            self.settings,
        )

    @cached_property
    def reader(self) -> Reader:
        """The in-house reader, which answers by default and orders passages by relevance."""
        return Reader.load(
            self.registry.folder(self.settings.reader_weights or "", "reader"),
            model_folder(CARRIED_MODEL),
            dtype=choose_dtype(self.settings.reader_dtype),
        )

    @cached_property
    def generator(self) -> Generator:
        """What writes the answers: the reader, a language model in this process, or one on a server."""
        language_model = chosen_language_model(self.settings, partial(self.registry.folder, kind="language"))
        return language_model or ReaderGenerator(self.reader, mode=self._reader_mode)

    @cached_property
    def answer_cache(self) -> AnswerCache | None:
        """Which answers were given before; None: every question is answered anew."""
        seconds = self.settings.answer_cache_s
        return AnswerCache(self.shared_server, seconds=seconds) if self.shared_server and seconds else None

    @cached_property
    def mask(self) -> LogMask:
        """What masks personal data before it is logged."""
        return mask_of(self.settings)

    @cached_property
    def answerer(self) -> Answerer:
        """The main path."""
        return Answerer(
            self.database,
            self.retriever,
            self.generator,
            [Confidence(), Answerability(), Faithfulness(), AnswerRelevancy(self.embedders), ContextPrecision()],
            LanguageDetector(self.settings.known_languages),
            self.mask,
            abstain_below=self.settings.abstain_below,
            queue=AnswerQueue(
                max_concurrent=self.settings.max_concurrent_answers,
                max_waiting=self.settings.max_waiting_answers,
                max_wait_s=self.settings.max_wait_s,
            ),
            log_writer=LogWriter(
                self.database,
                limit_s=max(MIN_LIMIT_S, 2 * self.settings.store_timeout_s),
                max_at_once=self.settings.max_concurrent_answers,
            ),
            timeout_s=self.settings.answer_timeout_s,
            repeated=RepeatedAnswers(self.database, self.answer_cache),
            observer=self.observers,
        )

    @cached_property
    def preparer(self) -> Preparer:
        """What splits and embeds documents."""
        return Preparer(
            self.embedders,
            carried_tokenizer(),
            passage_tokens=self.settings.passage_tokens,
        )

    @cached_property
    def ingester(self) -> Ingester:
        """The ingestion pipeline."""
        return Ingester(self.database, self.preparer, self.settings)

    @cached_property
    def uploads(self) -> UploadQueue:
        """The uploads that are worked on in the background."""
        return UploadQueue(self.database, self.ingester, self.settings.spool_dir)

    def ingest(
        self,
        *paths: str | Path,
        options: FileOptions = USUAL_OPTIONS,
        collection: str = DEFAULT_COLLECTION,
        dry_run: bool = False,
        wait: bool = True,
        on_wait: Callable[[], None] = lambda: None,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Ingest files and folders, then bring the indexes up to date and save them. See ``Ingester.ingest``."""
        files = [Path(path) for path in paths]
        if dry_run:
            return self.ingester.preview(files, options, collection=collection)
        report = self.ingester.ingest(
            files, options, collection=collection, wait=wait, on_wait=on_wait, on_progress=on_progress
        )
        self.save_index(collection)
        return report

    def resume_ingestion(
        self, *, collection: str = DEFAULT_COLLECTION, wait: bool = True, on_progress: OnProgress = silent
    ) -> IngestionReport:
        """Go on with the last run over files that did not finish. See ``Ingester.resume``."""
        report = self.ingester.resume(collection=collection, wait=wait, on_progress=on_progress)
        self.save_index(collection)
        return report

    def remove_files(self, files: Sequence[Path], *, collection: str = DEFAULT_COLLECTION) -> int:
        """Take out the documents of files, or of all files below folders, that are gone; returns how many."""
        num_removed = self.ingester.remove_files(files, collection=collection)
        self.save_index(collection)
        return num_removed

    def ingest_sql(
        self,
        url: str,
        query: str,
        *,
        columns: ColumnNames = USUAL_COLUMNS,
        labels: Labels = NO_LABELS,
        collection: str = DEFAULT_COLLECTION,
        dry_run: bool = False,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Ingest the rows of a query, then bring the indexes up to date and save them. See ``Ingester.ingest_rows``.

        ``url`` is an SQLAlchemy URL of another database, which is only read.
        """
        source = SqlSource(url, query)
        if dry_run:
            return self.ingester.preview_rows(source, columns=columns, collection=collection, labels=labels)
        report = self.ingester.ingest_rows(
            source, columns=columns, collection=collection, labels=labels, on_progress=on_progress
        )
        self.save_index(collection)
        return report

    def collection(self, name: str) -> Collection:
        """The collection of that name. Raises NotFound where there is none."""
        with self.database.read() as session:
            return get_collection(session, name)

    def import_documents(
        self,
        lines: BinaryIO,
        *,
        uri: str,
        collection: str = DEFAULT_COLLECTION,
        on_progress: OnProgress = silent,
    ) -> IngestionReport:
        """Store exported documents again, then save the index. See ``Ingester.import_documents``."""
        report = self.ingester.import_documents(lines, uri=uri, collection=collection, on_progress=on_progress)
        self.save_index(collection)
        return report

    def erase_document(self, document_id: int, *, reason: str, caller: Caller = OWNER) -> list[int]:
        """Remove a document with all its versions for good, then save the index. See ``Ingester.erase``."""
        dataset_ids = self.ingester.erase(document_id, reason=reason, caller=caller)
        with self.database.read() as session:
            collection = get_collection_by_id(session, get_stored(session, document_id).collection_id)
        self.save_index(collection.name)
        return dataset_ids

    def save_index(self, collection: str) -> None:
        """Bring a collection's index level with SQL and write a snapshot of it."""
        index = self.indexes.get(self.collection(collection))
        index.refresh()
        index.optimize()
        index.save()

    def reembed(
        self,
        model: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        keep_previous: bool = True,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Reembedded:
        """Embed a collection anew with another model and search by it from then on. See ``Reembedding.run``."""
        reembedding = Reembedding(self.database, self.preparer, self.indexes, collection=collection, model=model)
        return reembedding.run(keep_previous=keep_previous, on_progress=on_progress)

    def search(
        self,
        query: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        options: SearchOptions = AS_SET,
        top_k: int | None = None,
        filters: Filters | None = None,
        caller: Caller = OWNER,
    ) -> Sequence[Hit]:
        """The best passages for a query. See ``Retriever.search``."""
        return self.retriever.search(
            query,
            collection=collection,
            options=options,
            top_k=self.settings.top_k if top_k is None else top_k,
            filters=filters,
            caller=caller,
        ).hits

    def ask(
        self,
        question: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        top_k: int | None = None,
        filters: Filters | None = None,
        search: SearchOptions = AS_SET,
        abstain: bool = True,
        caller: Caller = OWNER,
        links: AnswerLinks = UNLINKED,
        history: Sequence[Turn] = (),
        cancellation: Cancellation = NEVER,
        on_found: Callable[[Sequence[Hit]], object] = lambda _: None,
    ) -> Answer:
        """Answer a question, and log it. See ``Answerer.ask`` and ``AskOptions``."""
        options = AskOptions(
            top_k=self.settings.top_k if top_k is None else top_k,
            filters=filters or {},
            search=search,
            abstain=abstain,
            caller=caller,
            links=links,
            history=tuple(history),
            cancellation=cancellation,
        )
        return self.answerer.ask(question, collection=collection, options=options, on_found=on_found)

    def explain(self, answer: Answer) -> Explanation:
        """Where each token of an answer comes from. The question is read again over the passages of the answer.

        Raises:
            InvalidInput: it was anonymised, or the generator is not the reader; no other tells where its words come
                from.
        """
        if not answer.question:
            raise InvalidInput(f"Answer {answer.id} was anonymised, so there is nothing left to explain.")
        if not isinstance(self.generator, Explainer):
            raise InvalidInput(f"{self.generator.name} cannot explain its answers; set generator to reader.")
        return self.generator.explain(answer.searched_question, answer.passages)

    def replay(self, answer_id: int, *, caller: Caller = OWNER) -> Replay:
        """Ask a logged question again and compare. See ``rag.replay``."""
        return replay(self.database, self.answerer, answer_id, caller=caller)


def _milvus(settings: Settings) -> MilvusServer | None:
    if settings.search != "milvus":
        return None
    return MilvusServer(settings.milvus_uri, token=settings.milvus_token.get_secret_value())


def open_rag(settings: Settings | None = None) -> Rag:
    """Open the service with these settings, or with those of the environment and ``rag.toml``."""
    return Rag(settings or load_settings())
