"""Whether Milvus holds what SQL holds: the same passages, and near a question the same nearest ones."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rag.index.milvus_collection import MilvusCollection, MilvusHit
from rag.index.recall import LIMIT, NUM_QUERIES, SAME_SCORE, queries_near
from rag.store.database import Database
from rag.store.passages import embedded_passage_ids, embeddings_of, iter_embeddings

BATCH = 10_000

Search = Callable[[NDArray[np.float16]], list[MilvusHit]]


def difference(database: Database, milvus: MilvusCollection, collection_id: int, embedding_model: str) -> str | None:
    """Which passages Milvus lacks or has too many, as a sentence; None where they are those of SQL.

    Both are read by id, a batch at a time, and not at one moment: bring Milvus level first.
    """
    num_missing = num_left_over = after_id = 0
    for ids in _id_batches(database, collection_id, embedding_model):
        last_id = int(ids[-1])
        there = milvus.ids_between(after_id, last_id)
        num_missing += len(np.setdiff1d(ids, there, assume_unique=True))
        num_left_over += len(np.setdiff1d(there, ids, assume_unique=True))
        after_id = last_id
    num_left_over += len(milvus.ids_between(after_id, None))
    if not num_missing and not num_left_over:
        return None
    return (
        f"Milvus lacks {num_missing} passages of SQL and holds {num_left_over} that SQL does not; run "
        "`rag index build`."
    )


def recall(database: Database, collection_id: int, embedding_model: str, search: Search, *, seed: int = 0) -> float:
    """Recall@10 of ``search`` on queries near at most 200 passages, against a scan of all vectors in SQL."""
    sources = _some_passage_ids(database, collection_id, embedding_model, seed=seed)
    if not len(sources):
        return 1.0
    with database.read() as session:
        vectors = embeddings_of(session, sources.tolist(), embedding_model).vectors
    queries = queries_near(vectors.astype(np.float32), seed=seed)
    num_true = num_found = 0
    for query, (true_ids, worst) in zip(
        queries, _nearest(database, collection_id, embedding_model, queries), strict=True
    ):
        num_true += len(true_ids)
        num_found += sum(
            hit.passage_id in true_ids or hit.score >= worst - SAME_SCORE for hit in search(query)[: len(true_ids)]
        )
    return num_found / num_true


def _nearest(
    database: Database, collection_id: int, embedding_model: str, queries: NDArray[np.float16]
) -> list[tuple[frozenset[int], float]]:
    """For each query the nearest passages by all vectors in SQL, and the inner product of the last of them."""
    queries_QD = queries.astype(np.float32)
    best_ids_QK = np.empty((len(queries), 0), dtype=np.int64)
    best_QK = np.empty((len(queries), 0), dtype=np.float32)
    after_id = 0
    while True:
        with database.read() as session:  # a short one for each batch
            batches = iter_embeddings(session, collection_id, embedding_model, batch_size=BATCH, after_id=after_id)
            batch = next(batches, None)
        if batch is None:
            break
        after_id = batch.words[-1].passage_id
        products_QN = np.concatenate([best_QK, queries_QD @ batch.vectors.astype(np.float32).T], axis=1)
        ids_QN = np.concatenate([best_ids_QK, np.tile(batch.passage_ids, (len(queries), 1))], axis=1)
        order_QK = np.argsort(-products_QN, axis=1, kind="stable")[:, :LIMIT]
        best_QK = np.take_along_axis(products_QN, order_QK, axis=1)
        best_ids_QK = np.take_along_axis(ids_QN, order_QK, axis=1)
    return [(frozenset(ids.tolist()), float(products[-1])) for ids, products in zip(best_ids_QK, best_QK, strict=True)]


def _some_passage_ids(database: Database, collection_id: int, embedding_model: str, *, seed: int) -> NDArray[np.int64]:
    """At most 200 passages, the same ones for a seed: those that drew the smallest numbers."""
    rng = np.random.default_rng(seed)
    chosen, drawn = np.empty(0, dtype=np.int64), np.empty(0)
    for ids in _id_batches(database, collection_id, embedding_model):
        chosen, drawn = np.concatenate([chosen, ids]), np.concatenate([drawn, rng.random(len(ids))])
        smallest = np.argsort(drawn)[:NUM_QUERIES]
        chosen, drawn = chosen[smallest], drawn[smallest]
    return chosen


def _id_batches(database: Database, collection_id: int, embedding_model: str) -> Iterator[NDArray[np.int64]]:
    after_id = 0
    while True:
        with database.read() as session:
            ids = embedded_passage_ids(session, collection_id, embedding_model, after_id=after_id, limit=BATCH)
        if not len(ids):
            return
        yield ids
        after_id = int(ids[-1])
