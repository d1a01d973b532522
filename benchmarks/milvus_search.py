"""Vector search in Milvus beside FAISS in this process, in one run: recall@10, time and rate, with and without filters.

    python benchmarks/milvus_search.py --uri bench.db --sizes 20000
    python benchmarks/milvus_search.py --uri http://127.0.0.1:19530/bench --sizes 20000 200000

Vectors and queries are made up as in ``vectors.py``. Each vector is a document; a filter allows random ones and goes
to Milvus as the program sends it, as a list of ids, or is applied to more hits than were wanted. Recall is against a
scan of all that is allowed. Times are of one query at a time, rates of four at once. What is put into Milvus is
dropped at the end.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from vectors import DIMENSION, Data, make_data, rate_at_once

from rag.index.allowed_ids import AllowedIds
from rag.index.milvus_collection import Mark, MilvusCollection
from rag.index.milvus_index import among
from rag.index.milvus_server import MilvusServer
from rag.index.vectors import VectorIndex, VectorIndexKind
from rag.store.passage_words import PassageWords
from rag.store.passages import EmbeddingBatch

LIMIT = 10
BATCH = 2_000
MAX_LINKING_S = 600
"""Longest wait for a server to link what it has taken in; until then it scans."""

Search = Callable[[NDArray[np.float16], AllowedIds | None], list[tuple[int, float]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uri", required=True, help="As in the setting milvus_uri.")
    parser.add_argument("--token", default="", help="As in the setting milvus_token.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--shares", type=float, nargs="+", default=[1, 0.5, 0.1, 0.01, 0.001])
    parser.add_argument("--kinds", nargs="+", choices=["exact", "hnsw"], default=["exact", "hnsw"])
    parser.add_argument("--settle", type=float, default=0, help="Seconds to wait before searching what was put in.")
    options = parser.parse_args()
    server = MilvusServer(options.uri, token=options.token)
    try:
        for size in options.sizes:
            data = make_data(size, options.queries)
            print(f"\n{size:,} vectors, {server.abilities.version}\n")
            print("| engine | share allowed | recall@10 | hits | p50 ms | p95 ms | searches/s, 4 at once |")
            print("|---|---|---|---|---|---|---|")
            for kind in options.kinds:
                measure("FAISS", kind, faiss_search(data, kind), data, options.shares)
                milvus = MilvusCollection(server, "rag_bench", vector_index=kind)
                try:
                    fill(milvus, data)
                    time.sleep(options.settle)
                    measure("Milvus", kind, partial(milvus_search, milvus), data, options.shares)
                finally:
                    milvus.forget()
    finally:
        server.close()


def faiss_search(data: Data, kind: VectorIndexKind) -> Search:
    """The index of the embedded search over the vectors."""
    index = VectorIndex(DIMENSION, kind=kind)
    index.add(np.arange(len(data.vectors)), data.vectors)
    index.optimize()
    return lambda query, allowed: index.search(query, limit=LIMIT, allowed=allowed)


def fill(milvus: MilvusCollection, data: Data) -> None:
    """Put the vectors into a new build and let searches go to it."""
    started = time.perf_counter()
    build = milvus.begin(DIMENSION)
    for start in range(0, len(data.vectors), BATCH):
        ids = np.arange(start, min(start + BATCH, len(data.vectors)))
        words = [PassageWords(passage_id=one, document_id=one, title="", headings=(), text="") for one in ids.tolist()]
        milvus.put(build, EmbeddingBatch(passage_ids=ids, vectors=data.vectors[ids], words=words))
    milvus.seal(build)
    end = time.monotonic() + MAX_LINKING_S
    while milvus.server.run("describe_index", build, "vector").get("pending_index_rows") and time.monotonic() < end:
        time.sleep(0.5)
    milvus.set_mark(build, Mark(change_id=1, changed_at=None))  # searches ask to see what was written until then
    milvus.switch(build)
    print(f"| Milvus {milvus.kind}, filled in {time.perf_counter() - started:.1f} s | | | | | | |", flush=True)


def milvus_search(
    milvus: MilvusCollection, query: NDArray[np.float16], allowed: AllowedIds | None
) -> list[tuple[int, float]]:
    """As the program searches."""
    return among(partial(milvus.search_vectors, query), LIMIT, allowed)


def measure(engine: str, kind: VectorIndexKind, search: Search, data: Data, shares: list[float]) -> None:
    """Print a row for each share of the passages that a filter allows."""
    rng = np.random.default_rng(1)
    for share in shares:
        ids = np.flatnonzero(rng.random(len(data.vectors)) < share)
        if not len(ids):
            continue  # so small a share of so few leaves none
        allowed = None if share == 1 else AllowedIds.of_ids(ids)
        vectors = data.vectors[ids].astype(np.float32)
        search(data.queries[0], allowed)  # what is loaded at first use
        times, num_true, num_found, num_hits = [], 0, 0, 0
        for query in data.queries:
            started = time.perf_counter()
            hits = search(query, allowed)
            times.append((time.perf_counter() - started) * 1000)
            true = ids[np.argsort(-(vectors @ query.astype(np.float32)))[:LIMIT]].tolist()
            num_true, num_hits = num_true + len(true), num_hits + len(hits)
            num_found += len(set(true) & {one for one, _ in hits})
        rate = rate_at_once(lambda query, allowed=allowed: search(query, allowed), data.queries)
        p50, p95 = np.percentile(times, [50, 95])
        print(
            f"| {engine} {kind} | {share:.4g} | {num_found / num_true:.3f} | {num_hits / num_true:.2f} | {p50:.1f} | "
            f"{p95:.1f} | {rate:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
