"""The indexes inside PostgreSQL: nothing is kept in this process, and what any process commits is found at once."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from rag.index.embedders import Embedders
from rag.index.fusion import Ranking, fuse
from rag.index.latest_indexes import LatestIndexes
from rag.index.recall import NUM_QUERIES, recall_near
from rag.index.search_engine import Search, SearchIndex
from rag.index.vectors import GRAPH_FROM, GRAPH_UNTIL, VectorIndexKind, VectorStats
from rag.records import Caller, Fusion, SearchMode
from rag.store.collections import Collection
from rag.store.database import Database, Session
from rag.store.filters import Filters
from rag.store.found_passages import MatchingDocuments, documents_matching
from rag.store.index_changes import last_change_id
from rag.store.passages import embeddings_of
from rag.store.postgres_graphs import (
    MAX_GRAPH_DIMENSION,
    all_bytes,
    count_vectors,
    count_words,
    drop_graphs,
    graph_bytes,
    make_graph,
    some_passage_ids,
)
from rag.store.postgres_search import (
    SearchedGeneration,
    find_generation,
    scan_vectors,
    search_vectors,
    search_words,
)
from rag.store.postgres_search_setup import rebuild_collection


class PostgresIndex:
    """What PostgreSQL holds of one collection under one embedding model. Safe to share between threads."""

    def __init__(
        self, database: Database, *, collection_id: int, embedding_model: str, vector_index: VectorIndexKind = "auto"
    ) -> None:
        self._database, self._collection_id, self._embedding_model = database, collection_id, embedding_model
        self._vector_index = vector_index

    def __len__(self) -> int:
        with self._database.read() as session:
            generation = self._generation(session)
            return count_vectors(session, generation) if generation is not None else 0

    @property
    def embedding_model(self) -> str:
        """Whose vectors it holds."""
        return self._embedding_model

    @property
    def change_id(self) -> int:
        """The last index change: it is in since it was committed."""
        with self._database.read() as session:
            return last_change_id(session, self._collection_id)

    @property
    def folder(self) -> None:
        """It has no files."""

    @property
    def vector_stats(self) -> VectorStats:
        """What its vector index is made of now."""
        with self._database.read() as session:
            generation = self._generation(session)
            if generation is None:
                return VectorStats(kind="exact", num_vectors=0, num_unlinked=0, num_removed=0, num_bytes=0)
            num_vectors = count_vectors(session, generation)
            return VectorStats(
                kind="hnsw" if generation.has_graph else "exact",
                num_vectors=num_vectors,
                num_unlinked=0 if generation.has_graph else num_vectors,
                num_removed=0,  # PostgreSQL clears away what is removed by itself
                num_bytes=num_vectors * 2 * generation.dimension + graph_bytes(session, generation),
            )

    def num_bytes(self) -> int:
        """What the search of all collections together takes up in the database."""
        with self._database.read() as session:
            return all_bytes(session)

    def changes_behind(self) -> int:
        """None ever: a change and what it does to the index are one transaction."""
        return 0

    def vector_recall(self) -> float:
        """Recall@10 of the vector search against an exact one; see ``rag.index.recall``."""
        with self._database.read() as session:
            generation = self._generation(session)
            if generation is None or not generation.has_graph:
                return 1.0
            ids = some_passage_ids(session, generation, NUM_QUERIES)
            sources = embeddings_of(session, ids, self._embedding_model).vectors.astype(np.float32)
            return recall_near(
                sources,
                search=partial(search_vectors, session, generation),
                exact_search=partial(scan_vectors, session, generation),
            )

    def problem(self) -> str | None:
        """Whether what the keyword search counts is what there is."""
        with self._database.read() as session:
            words = count_words(session, self._collection_id)
        if words.kept == words.counted:
            return None
        return "The keyword index does not hold the words of what SQL holds; run `rag index build`."

    def refresh(self, newest: int | None = None) -> int:
        """The last change that the caller knows of, or else the last one that there is."""
        return self.change_id if newest is None else newest

    def searcher(self, filters: Filters, caller: Caller) -> Search:
        """A search among what ``filters`` and the labels of ``caller`` leave, which becomes part of its statements.

        Raises:
            InvalidInput: the filter is malformed.
        """
        is_open = not filters and caller.access_labels is None
        documents = None if is_open else documents_matching(self._collection_id, filters, caller=caller)
        return partial(self.search, documents=documents)

    def search(
        self,
        query: str,
        vector: NDArray[np.float16],
        /,
        *,
        mode: SearchMode,
        candidates: int,
        keyword_weight: float,
        fusion: Fusion = "adaptive",
        documents: MatchingDocuments | None = None,
    ) -> Ranking:
        """The passages that both legs find, as of one moment. In a single-leg mode ``fused`` orders as that leg does.

        Only passages of ``documents``, if given.
        """
        keyword: list[tuple[int, float, float | None]] = []
        near: list[tuple[int, float]] = []
        with self._database.read() as session:
            generation = self._generation(session)
            if generation is not None and mode != "vector":
                keyword = search_words(
                    session,
                    self._collection_id,
                    query,
                    limit=candidates,
                    generation=generation,
                    vector=vector,
                    documents=documents,
                )
            if generation is not None and mode != "keyword":
                near = search_vectors(session, generation, vector, limit=candidates, documents=documents)
        return fuse(
            [(passage_id, score) for passage_id, score, _ in keyword],
            near,
            keyword_weight={"hybrid": keyword_weight, "keyword": 1.0, "vector": 0.0}[mode],
            cosines={one: cosine for one, _, cosine in keyword if cosine is not None} if mode == "hybrid" else {},
            fusion=fusion,
        )

    def rebuild(self) -> None:
        """Make it anew from the passages and embeddings in SQL, in one transaction; searches go on meanwhile."""
        rebuild_collection(self._database, self._collection_id)
        self.optimize()

    def optimize(self) -> None:
        """Make or drop the HNSW index, as the number of passages and the setting ``vector_index`` call for."""
        with self._database.read() as session:
            generation = self._generation(session)
            num_vectors = count_vectors(session, generation) if generation is not None else 0
        if generation is None or not self._wants_graph(generation, num_vectors):
            drop_graphs(self._database, generation)
        else:
            make_graph(self._database, generation, num_vectors)

    def save(self) -> bool:
        """There is never anything to keep."""
        return False

    def close(self) -> None:
        """There is nothing to release."""

    def _wants_graph(self, generation: SearchedGeneration, num_vectors: int) -> bool:
        if self._vector_index == "exact" or generation.dimension > MAX_GRAPH_DIMENSION:
            return False
        return self._vector_index == "hnsw" or num_vectors >= (GRAPH_UNTIL if generation.has_graph else GRAPH_FROM)

    def _generation(self, session: Session) -> SearchedGeneration | None:
        return find_generation(session, self._collection_id, self._embedding_model)


class PostgresEngine:
    """Hands out the indexes inside one PostgreSQL database that has the search. Safe to share between threads."""

    def __init__(self, database: Database, embedders: Embedders, *, vector_index: VectorIndexKind = "auto") -> None:
        self._database, self._embedders = database, embedders
        self._vector_index: VectorIndexKind = vector_index
        self._latest = LatestIndexes(self._index)

    def get(self, collection: Collection) -> SearchIndex:
        """The index of the collection's embedding model.

        Raises:
            InvalidInput: its embedding model is not on this machine.
        """
        return self._latest.get(collection)

    def open(self, collection: Collection, *, embedding_model: str | None = None) -> SearchIndex:
        """The index of the collection's own embedding model, or of another, with the structure its size calls for."""
        index = self._index(collection, embedding_model or collection.embedding_model)
        index.optimize()
        return index

    def forget(self, collection: Collection, *, embedding_model: str) -> None:
        """Nothing is kept that could be out of date."""

    def opened(self) -> list[SearchIndex]:
        """The indexes that searches go to now."""
        return [*self._latest.opened()]

    def check(self) -> None:
        """Nothing but the database is needed."""

    def close(self) -> None:
        """Forget all indexes. They can be opened again."""
        self._latest.clear()

    def _index(self, collection: Collection, embedding_model: str) -> PostgresIndex:
        self._embedders.get(embedding_model)  # a model that is not here is better known now
        return PostgresIndex(
            self._database,
            collection_id=collection.id,
            embedding_model=embedding_model,
            vector_index=self._vector_index,
        )
