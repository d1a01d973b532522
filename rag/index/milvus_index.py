"""The index of one collection in Milvus: both legs are searched there, under filters that SQL has resolved.

A filter and a caller's labels come to the ids of documents, which SQL knows as of now, and Milvus searches among these.
Where they leave so many that a list of them is too long to be sent with every search, more is asked for, and what they
leave of it is picked here: where many documents are allowed, not much more has to be asked for.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexUnavailable, InvalidInput, StoreUnavailable
from rag.index.allowed_ids import AllowedIds
from rag.index.embedders import Embedders
from rag.index.filter_cache import FilterCache
from rag.index.fusion import Ranking, fuse
from rag.index.latest_indexes import LatestIndexes
from rag.index.milvus_check import difference, recall
from rag.index.milvus_collection import MAX_LIMIT, MilvusCollection, MilvusHit
from rag.index.milvus_feed import MilvusFeed
from rag.index.milvus_server import MilvusServer
from rag.index.postgres_index import PostgresIndex
from rag.index.recall import LIMIT
from rag.index.search_engine import Search, SearchIndex
from rag.index.vectors import VectorIndexKind, VectorStats
from rag.records import Caller, Fusion, SearchMode
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.filters import Filters
from rag.store.index_changes import count_changes_after, last_change_id
from rag.store.postgres_search_setup import require_search

MAX_LISTED = 10_000
"""Up to so many documents that a filter leaves are listed in the search: some tens of kilobytes."""


class _Find(Protocol):
    """One leg for one question."""

    def __call__(self, *, limit: int, documents: Sequence[int] | None = None) -> list[MilvusHit]: ...


class MilvusIndex:
    """What Milvus holds of one collection under one embedding model. Safe to share between threads.

    Nothing is asked of the server until it is searched or refreshed.
    """

    def __init__(
        self,
        database: Database,
        milvus: MilvusCollection,
        *,
        collection_id: int,
        embedding_model: str,
        dimension: Callable[[], int],
        wait_s: float,
    ) -> None:
        """``dimension`` tells that of the model. ``wait_s``: the longest wait for others that feed."""
        self._database, self._milvus = database, milvus
        self._collection_id, self._embedding_model = collection_id, embedding_model
        self._dimension = dimension
        self._feed = MilvusFeed(
            database,
            milvus,
            collection_id=collection_id,
            embedding_model=embedding_model,
            dimension=dimension,
            wait_s=wait_s,
        )
        self._filters = FilterCache(database, collection_id, allowed_of=AllowedIds.of_ids)
        self._postgres = PostgresIndex(database, collection_id=collection_id, embedding_model=embedding_model)

    def __len__(self) -> int:
        return self._milvus.count() if self._milvus.current() is not None else 0

    @property
    def embedding_model(self) -> str:
        """Whose vectors it holds."""
        return self._embedding_model

    @property
    def change_id(self) -> int:
        """The last index change that is in."""
        return self._feed.mark().change_id

    @property
    def folder(self) -> None:
        """It has no snapshots."""

    @property
    def vector_stats(self) -> VectorStats:
        """What its vector index is made of; the server does not tell what it has not linked yet."""
        num_vectors, kind = len(self), self._milvus.kind
        return VectorStats(
            kind=kind,
            num_vectors=num_vectors,
            num_unlinked=num_vectors if kind == "exact" else 0,
            num_removed=0,
            num_bytes=num_vectors * self._dimension() * (2 if self._milvus.server.abilities.has_half_precision else 4),
        )

    def num_bytes(self) -> int | None:
        """What the file of Milvus Lite takes up, of all collections together; None where a server has it."""
        return self._milvus.server.num_bytes()

    def changes_behind(self) -> int:
        """How many committed changes are not in yet; the next search has them taken in."""
        with self._database.read() as session:
            return count_changes_after(session, self._collection_id, self.change_id)

    def vector_recall(self) -> float:
        """Recall@10 of the vector search against a scan of the vectors in SQL."""
        search = partial(self._milvus.search_vectors, limit=LIMIT)
        return recall(self._database, self._collection_id, self._embedding_model, search)

    def problem(self) -> str | None:
        """Whether it lacks passages of SQL, or holds others."""
        return difference(self._database, self._milvus, self._collection_id, self._embedding_model)

    def refresh(self, newest: int | None = None) -> int:
        """Have taken in what is committed, and build what is not there; returns the last change that is in.

        Raises:
            Busy: others are feeding for too long.
            IndexUnavailable: Milvus does not answer, or holds what is of another database.
        """
        if newest is None:
            with self._database.read() as session:
                newest = last_change_id(session, self._collection_id)
        try:
            return self._feed.bring_level(newest)
        except IndexUnavailable:
            # Once more from the start: a node may have failed whose work others do now, or what was loaded is not.
            self._feed.doubt()
            return self._feed.bring_level(newest)

    def searcher(self, filters: Filters, caller: Caller) -> Search:
        """A search among what ``filters`` and the labels of ``caller`` leave.

        Raises:
            InvalidInput: the filter is malformed.
        """
        allowed = self._filters.allowed(filters, caller, change_id=self._feed.known)
        return partial(self._search, allowed=allowed, in_sql=self._postgres.searcher(filters, caller))

    def _search(
        self,
        query: str,
        vector: NDArray[np.float16],
        /,
        *,
        mode: SearchMode,
        candidates: int,
        keyword_weight: float,
        fusion: Fusion,
        allowed: AllowedIds | None,
        in_sql: Search,
    ) -> Ranking:
        """``in_sql`` searches words where Milvus cannot."""
        words: list[tuple[int, float]] | None = None
        if mode != "vector" and not self._milvus.server.abilities.has_full_text:
            self._require_words()
            found = in_sql(query, vector, mode="keyword", candidates=candidates, keyword_weight=1, fusion=fusion)
            words = list(found.bm25.items())
        legs = partial(self._legs, query, vector, mode=mode, limit=candidates, allowed=allowed, words=words)
        try:
            keyword, near, cosines = legs()
        except IndexUnavailable:
            self._feed.doubt()
            self.refresh()
            keyword, near, cosines = legs()
        weight = {"hybrid": keyword_weight, "keyword": 1.0, "vector": 0.0}[mode]
        return fuse(keyword, near, keyword_weight=weight, cosines=cosines, fusion=fusion)

    def _legs(
        self,
        query: str,
        vector: NDArray[np.float16],
        *,
        mode: SearchMode,
        limit: int,
        allowed: AllowedIds | None,
        words: list[tuple[int, float]] | None,
    ) -> tuple[list[tuple[int, float]], list[tuple[int, float]], dict[int, float]]:
        """What either leg finds, and the inner products of what only the keyword leg found.

        ``words``: what the keyword leg has found elsewhere.
        """
        keyword: list[tuple[int, float]] = []
        near: list[tuple[int, float]] = []
        if mode != "vector":
            keyword = among(partial(self._milvus.search_words, query), limit, allowed) if words is None else words
        if mode != "keyword":
            near = among(partial(self._milvus.search_vectors, vector), limit, allowed)
        known = {passage_id for passage_id, _ in near}
        missing = [passage_id for passage_id, _ in keyword if passage_id not in known] if mode == "hybrid" else []
        return keyword, near, self._milvus.cosines(vector, missing)

    def rebuild(self) -> None:
        """Make it anew from SQL, nothing embedded again; searches go on meanwhile."""
        self._feed.build()

    def optimize(self) -> None:
        """Have everything linked; servers do so by themselves."""
        if self._milvus.server.abilities.is_lite and (build := self._milvus.current()) is not None:
            self._milvus.seal(build)

    def save(self) -> bool:
        """There is never anything to keep."""
        return False

    def forget(self) -> None:
        """Drop what Milvus holds of it."""
        self._feed.forget()

    def close(self) -> None:
        """There is nothing to release; the server is the engine's."""

    def _require_words(self) -> None:
        """Make sure that PostgreSQL searches the words, where Milvus cannot. Raises IndexUnavailable."""
        try:
            require_search(self._database)
        except (InvalidInput, StoreUnavailable) as error:
            raise IndexUnavailable(
                f"Milvus {self._milvus.server.abilities.version} cannot search words; use 2.5 or later, or have a "
                "PostgreSQL database search them: run `rag db upgrade` once with search = postgres."
            ) from error


class MilvusEngine:
    """Hands out the indexes on one Milvus server. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        embedders: Embedders,
        server: MilvusServer,
        *,
        vector_index: VectorIndexKind = "auto",
        num_replicas: int = 1,
        wait_s: float = 10.0,
    ) -> None:
        """``server`` is closed with the engine. ``wait_s`` is the longest wait of a search for others that feed."""
        self._database, self._embedders, self._server = database, embedders, server
        self._vector_index: VectorIndexKind = vector_index
        self._num_replicas, self._wait_s = num_replicas, wait_s
        self._latest = LatestIndexes(self._index)

    def get(self, collection: Collection) -> SearchIndex:
        """The index of the collection's embedding model.

        Raises:
            InvalidInput: its embedding model is not on this machine.
        """
        self._embedders.get(collection.embedding_model)  # a model that is not here is better known now
        return self._latest.get(collection)

    def open(self, collection: Collection, *, embedding_model: str | None = None) -> SearchIndex:
        """The index of the collection's own embedding model, or of another, level with SQL."""
        index = self._index(collection, embedding_model or collection.embedding_model)
        index.refresh()
        return index

    def forget(self, collection: Collection, *, embedding_model: str) -> None:
        """Drop what Milvus holds of a model: it would not hear of what is embedded from now on."""
        self._index(collection, embedding_model).forget()

    def opened(self) -> list[SearchIndex]:
        """The indexes that searches go to now."""
        return [*self._latest.opened()]

    def check(self) -> None:
        """Make sure that the server answers.

        Raises:
            IndexUnavailable: it does not.
        """
        self._server.check()

    def close(self) -> None:
        """Forget all indexes and let go of the server. They can be opened again."""
        self._latest.clear()
        self._server.close()

    def _index(self, collection: Collection, embedding_model: str) -> MilvusIndex:
        model = hashlib.sha256(embedding_model.encode()).hexdigest()[:8]
        # The moment of creation tells this collection from one of the same id in another database.
        alias = f"rag_{collection.id}_{collection.created_at:%Y%m%d%H%M%S%f}_{model}"
        return MilvusIndex(
            self._database,
            MilvusCollection(self._server, alias, vector_index=self._vector_index, num_replicas=self._num_replicas),
            collection_id=collection.id,
            embedding_model=embedding_model,
            dimension=lambda: self._embedders.get(embedding_model).dimension,
            wait_s=self._wait_s,
        )


def among(find: _Find, limit: int, allowed: AllowedIds | None) -> list[tuple[int, float]]:
    """The best passages of one leg as (passage id, score), best first; only of allowed documents."""
    if allowed is None:
        hits = find(limit=limit)
    elif allowed.count <= MAX_LISTED:
        hits = find(limit=limit, documents=allowed.ids.tolist()) if allowed.count else []
    else:
        hits = _picked(find, limit, allowed)
    return [(hit.passage_id, hit.score) for hit in hits]


def _picked(find: _Find, limit: int, allowed: AllowedIds) -> list[MilvusHit]:
    """The best passages of very many documents: more is asked for until enough of it is allowed."""
    asked = 2 * limit
    while asked <= MAX_LIMIT:
        found = find(limit=asked)
        documents = np.fromiter((hit.document_id for hit in found), dtype=np.int64, count=len(found))
        hits = [hit for hit, is_allowed in zip(found, allowed.contain(documents), strict=True) if is_allowed]
        if len(hits) >= limit or len(found) < asked:
            return hits[:limit]
        asked *= 4
    # Few of very many: the list is long, and short beside what would have to be asked for.
    return find(limit=limit, documents=allowed.ids.tolist())
