"""How much of what an exact search finds an approximate one finds: recall@10, on queries near stored vectors."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.index.vectors import VectorIndex

MIN_RECALL = 0.98
"""Below it, an index is not fit for use."""

LIMIT = 10
NUM_QUERIES = 200

NOISE = 0.5
"""Length of what is added to a stored unit vector, so that a query is not the vector it came from."""

SAME_SCORE = 1e-6
"""Scores that differ by less count as equal: of equally near vectors either may be found."""


class _Search(Protocol):
    def __call__(self, query: NDArray[np.float16], /, *, limit: int) -> list[tuple[int, float]]: ...


def measure_recall(index: VectorIndex, *, seed: int = 0) -> float:
    """Recall@10 of ``index.search`` over at most 200 queries, the same ones for a seed; 1.0 of an exact index."""
    if index.kind == "exact":
        return 1.0
    rng = np.random.default_rng(seed)
    sources = index.vectors(rng.permutation(index.ids)[:NUM_QUERIES])
    return recall_near(sources, search=index.search, exact_search=index.exact_search, seed=seed)


def recall_near(sources: NDArray[np.float32], *, search: _Search, exact_search: _Search, seed: int = 0) -> float:
    """Recall@10 of ``search`` on one query near each of ``sources`` (N, dimension), the same ones for a seed."""
    num_true = num_found = 0
    for query in queries_near(sources, seed=seed):
        true = exact_search(query, limit=LIMIT)
        found = search(query, limit=LIMIT)
        num_true += len(true)
        num_found += sum(score >= true[-1][1] - SAME_SCORE for _, score in found)
    return num_found / num_true if num_true else 1.0


def queries_near(sources: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float16]:
    """One unit vector near each of ``sources`` (N, dimension), the same ones for a seed."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(sources.shape, dtype=np.float32)
    queries = sources + NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    halves: NDArray[np.float16] = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float16)
    return halves
