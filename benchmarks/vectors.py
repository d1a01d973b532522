"""The vector index: building, size, search with and without filters, saving and loading, exact and by a graph.

    python benchmarks/vectors.py --sizes 10000 50000 200000

Vectors are made here: unit vectors in half precision around centres on three levels (documents of ten passages, themes
of ten documents, fields of ten themes), in directions of as unequal weight as those of real embeddings. Queries lie
beside random vectors, at a cosine of .65, which is that of questions and their passages in all-MiniLM-L6-v2. Filters
allow random passages; *elsewhere* allows only the half of the fields that the query's is not in. One query at a time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rag.index.allowed_ids import AllowedIds
from rag.index.vectors import VectorIndex, VectorIndexKind

DIMENSION = 384
CHUNK = 50_000
LEVELS = ((1000, 0.1), (100, 0.2), (10, 0.3))
"""Vectors under one centre of a level, and its share of their squared length; the rest is each vector's own."""
OWN = 0.4
QUERY_COSINE = 0.65
NUM_AT_ONCE = 4
Query = TypeVar("Query")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Vectors (N, D), the half of the fields that each is in (N), queries (Q, D), and the half of each (Q)."""

    vectors: NDArray[np.float16]
    halves: NDArray[np.int64]
    queries: NDArray[np.float16]
    query_halves: NDArray[np.int64]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--kinds", nargs="+", choices=["exact", "hnsw"], default=["exact", "hnsw"])
    parser.add_argument("--limit", type=int, default=10, help="Passages wanted; recall is of as many.")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.1, 0.01, 0.001])
    options = parser.parse_args()
    for size in options.sizes:
        data = make_data(size, options.queries)
        for kind in options.kinds:
            index = build(data, kind)
            measure_searches(index, data, options.limit, options.shares)
            measure_files(index)


def make_data(num: int, num_queries: int) -> Data:
    """``num`` vectors and queries beside some of them, the same ones each time."""
    rng = np.random.default_rng(0)
    centres, fields = np.zeros((1, DIMENSION), dtype=np.float32), None
    for size, weight in LEVELS:
        parents = rng.integers(len(centres), size=max(1, num // size))
        centres = centres[parents] + np.sqrt(weight) * directions(rng, len(parents))
        fields = np.arange(len(parents)) if fields is None else fields[parents]
    assert fields is not None
    labels = rng.integers(len(centres), size=num)
    vectors = np.empty((num, DIMENSION), dtype=np.float16)
    for start in range(0, num, CHUNK):
        part = centres[labels[start : start + CHUNK]]
        vectors[start : start + CHUNK] = unit(part + np.sqrt(OWN) * directions(rng, len(part)))
    beside = rng.integers(num, size=num_queries)
    away = np.sqrt(1 - QUERY_COSINE**2) * directions(rng, num_queries)
    queries = unit(QUERY_COSINE * vectors[beside].astype(np.float32) + away).astype(np.float16)
    halves = fields[labels] % 2
    return Data(vectors=vectors, halves=halves, queries=queries, query_halves=halves[beside])


def directions(rng: np.random.Generator, num: int) -> NDArray[np.float32]:
    """Random vectors of length about 1 whose variance falls from one direction to the next as real embeddings' does."""
    order = np.arange(DIMENSION)
    variance = np.exp(-order / 150) / (order + 10)
    scale = np.sqrt(variance / variance.sum()).astype(np.float32)
    return rng.standard_normal((num, DIMENSION), dtype=np.float32) * scale


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors at length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rate_at_once(search: Callable[[Query], object], queries: Iterable[Query]) -> float:
    """Searches a second, asked by several callers at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        num = sum(1 for _ in pool.map(search, queries))
    return num / (time.perf_counter() - started)


def build(data: Data, kind: VectorIndexKind) -> VectorIndex:
    """Add all vectors in batches, then link them if ``kind`` says so."""
    num = len(data.vectors)
    index = VectorIndex(DIMENSION, kind=kind)
    started = time.perf_counter()
    for start in range(0, num, CHUNK):
        stop = min(num, start + CHUNK)
        index.add(np.arange(start + 1, stop + 1), data.vectors[start:stop])
    index.optimize()
    seconds = time.perf_counter() - started
    rate, size = num / seconds, index.num_bytes / num
    print(f"{kind}, {num:,} vectors: {rate:,.0f} vectors/s, {size:.0f} bytes each", flush=True)
    return index


def measure_searches(index: VectorIndex, data: Data, limit: int, shares: Sequence[float]) -> None:
    """Time and recall without a filter, at each share, and where only the other half of the fields is allowed."""
    num = len(data.vectors)
    rng = np.random.default_rng(1)
    report(index, data, limit, "all", lambda _: None)
    for share in shares:
        allowed = AllowedIds.of_ids(np.flatnonzero(rng.random(num) < share) + 1)
        report(index, data, limit, f"{share:.1%}", lambda _, allowed=allowed: allowed)
    elsewhere = [AllowedIds.of_ids(np.flatnonzero(data.halves != half) + 1) for half in (0, 1)]
    report(index, data, limit, "elsewhere", lambda i: elsewhere[data.query_halves[i]])


def report(
    index: VectorIndex, data: Data, limit: int, name: str, allowed_of: Callable[[int], AllowedIds | None]
) -> None:
    """Search for each query; print the times, the processor's own (CPU) beside the clock's, and the recall."""
    times, processor_times, num_true, num_found = [], [], 0, 0
    index.search(data.queries[0], limit=limit, allowed=allowed_of(0))  # warms up
    for i, query in enumerate(data.queries):
        allowed = allowed_of(i)
        started, started_at_work = time.perf_counter(), time.thread_time()
        hits = index.search(query, limit=limit, allowed=allowed)
        processor_times.append((time.thread_time() - started_at_work) * 1000)
        times.append((time.perf_counter() - started) * 1000)
        true = index.exact_search(query, limit=limit, allowed=allowed)
        assert len(hits) == len(true), "a search must find as many as there are"
        num_true += len(true)
        num_found += len({i for i, _ in true} & {i for i, _ in hits})
    p50, p95 = np.percentile(times, [50, 95])
    cpu = np.median(processor_times)
    recall = num_found / num_true
    print(f"  {name:>9}: p50 {p50:6.2f} ms (CPU {cpu:5.2f}), p95 {p95:6.2f}, recall@{limit} {recall:.4f}", flush=True)


def measure_files(index: VectorIndex) -> None:
    """Time writing and reading, the files in the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        index.save(Path(folder) / "vectors")
        saved = time.perf_counter()
        VectorIndex.load(Path(folder) / "vectors", DIMENSION)
        print(f"  saved in {saved - started:.2f} s, loaded in {time.perf_counter() - saved:.2f} s", flush=True)


if __name__ == "__main__":
    main()
