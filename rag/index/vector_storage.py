"""Vectors in half precision, held by FAISS in one of two ways: rows that are scanned, and a graph that is walked.

The graph is HNSW (Malkov and Yashunin, 2018); beneath it lie the same rows, so that it can be scanned as well. Scores
are inner products. Nothing here knows passage ids: a vector goes by its position. Searching writes nothing, so several
threads may search one structure while none adds to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged

NUM_LINKS = 24
"""Links of a vector in each layer above the lowest (M of the paper); the lowest has twice as many."""

BUILD_WIDTH = 100
"""How many near vectors are looked through for the links of a new one (efConstruction)."""

CHUNK = 20_000
"""Vectors that are widened to float32, or copied, at a time."""


def new_rows(dimension: int) -> faiss.IndexScalarQuantizer:
    """An empty structure to scan."""
    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def new_graph(dimension: int) -> faiss.IndexHNSWSQ:
    """An empty structure to walk."""
    graph = faiss.IndexHNSWSQ(
        dimension,
        faiss.ScalarQuantizer.QT_fp16,  # type: ignore[arg-type]
        NUM_LINKS,
        faiss.METRIC_INNER_PRODUCT,
    )
    graph.hnsw.efConstruction = BUILD_WIDTH
    return graph


def rows_of(graph: faiss.IndexHNSWSQ) -> faiss.IndexScalarQuantizer:
    """The rows beneath a graph; they live as long as it does."""
    rows: faiss.IndexScalarQuantizer = faiss.downcast_index(graph.storage)  # type: ignore[assignment]
    return rows


def append(rows: faiss.IndexScalarQuantizer, vectors: NDArray[np.float16]) -> None:
    """Add vectors (N, D). FAISS keeps half precision as numpy does, so the bytes go in as they are."""
    if len(vectors):
        rows.add_sa_codes(np.ascontiguousarray(vectors, dtype="<f2").view(np.uint8))


def copy_rows(rows: faiss.IndexScalarQuantizer, keep: NDArray[np.bool_], *, into: faiss.IndexScalarQuantizer) -> None:
    """Append those of ``rows`` (N) where ``keep`` (N) is true to other rows, in the same order."""
    if not rows.ntotal:
        return
    codes = _codes(rows)
    for start in range(0, rows.ntotal, CHUNK):
        part = codes[start : start + CHUNK][keep[start : start + CHUNK]]
        if len(part):
            into.add_sa_codes(part)


def picked_rows(rows: faiss.IndexScalarQuantizer, positions: NDArray[np.int64]) -> faiss.IndexScalarQuantizer:
    """A copy of the rows at ``positions``, in that order."""
    picked = new_rows(rows.d)
    if len(positions):
        picked.add_sa_codes(_codes(rows)[positions])
    return picked


def link(graph: faiss.IndexHNSWSQ, rows: faiss.IndexScalarQuantizer, num: int) -> None:
    """Move the first ``num`` of ``rows`` to the end of ``graph``, on all of FAISS's threads.

    Several threads link in no fixed order, so two graphs of the same vectors may differ in a few links.
    """
    for start in range(0, num, CHUNK):
        num_now = min(CHUNK, num - start)
        graph.add(rows.reconstruct_n(0, num_now))
        rows.remove_ids(faiss.IDSelectorRange(0, num_now))


def scan(
    rows: faiss.IndexScalarQuantizer,
    queries: NDArray[np.float32],
    limit: int,
    allowed: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and positions (Q, at most limit) of the nearest rows to each query, best first; exact.

    Only positions where ``allowed`` (N) is true are found, all if it is None; where there are too few, -1 stands.
    """
    num = rows.ntotal if allowed is None else int(np.count_nonzero(allowed))
    limit = min(limit, num)
    if not limit:
        return np.zeros((len(queries), 0), dtype=np.float32), np.zeros((len(queries), 0), dtype=np.int64)
    parameters = None
    if allowed is not None and num < rows.ntotal:
        bitmap = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))  # type: ignore[call-arg, arg-type]
        parameters = faiss.SearchParameters(sel=bitmap)  # type: ignore[call-arg]
    with _threads_for(queries):
        scores, positions = rows.search(queries, limit, params=parameters)
    return scores, positions


def walk(
    graph: faiss.IndexHNSWSQ, queries: NDArray[np.float32], width: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and positions (Q, width) of the nearest vectors to each query, best first, nearly exact.

    ``width`` is how many near vectors the walk keeps in view (efSearch); where it saw fewer, -1 stands.
    """
    parameters = faiss.SearchParametersHNSW(efSearch=width)  # type: ignore[attr-defined]
    with _threads_for(queries):
        scores, positions = graph.search(queries, width, params=parameters)
    return scores, positions


def read_rows(path: Path, dimension: int) -> faiss.IndexScalarQuantizer:
    """Read a structure to scan from a file.

    Raises:
        IndexDamaged: the file holds none of this dimension.
    """
    rows = _read(path)
    if not isinstance(rows, faiss.IndexScalarQuantizer) or not _holds(rows, dimension):
        raise IndexDamaged(f"{path} holds another kind of index than this version writes.")
    return rows


def read_graph(path: Path, dimension: int) -> faiss.IndexHNSWSQ:
    """Read a structure to walk from a file.

    Raises:
        IndexDamaged: the file holds none of this dimension.
    """
    graph = _read(path)
    if (
        not isinstance(graph, faiss.IndexHNSWSQ)
        or not _holds(faiss.downcast_index(graph.storage), dimension)
        or graph.storage.ntotal != graph.ntotal
    ):
        raise IndexDamaged(f"{path} holds another kind of index than this version writes.")
    return graph


def num_bytes(index: faiss.IndexScalarQuantizer | faiss.IndexHNSWSQ) -> int:
    """The memory that a structure fills, without what it holds in reserve."""
    if isinstance(index, faiss.IndexScalarQuantizer):
        return int(index.codes.size())
    links = index.hnsw
    num = 4 * links.neighbors.size() + 8 * links.offsets.size() + 4 * links.levels.size()  # type: ignore[attr-defined]
    return num_bytes(rows_of(index)) + int(num)


@contextmanager
def _threads_for(queries: NDArray[np.float32]) -> Iterator[None]:
    """Give FAISS no more threads than there are queries, for it shares out whole queries only.

    It would wake the others all the same and wait for them: on a busy machine for many times as long as the search
    takes. OpenMP keeps the number for each calling thread, so no other search is touched.
    """
    num_threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(min(num_threads, len(queries)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(num_threads)


def _codes(rows: faiss.IndexScalarQuantizer) -> NDArray[np.uint8]:
    """The bytes of all rows (N, 2 D), not copied: they are gone when the rows change."""
    codes: NDArray[np.uint8] = faiss.rev_swig_ptr(rows.codes.data(), rows.codes.size())
    return codes.reshape(rows.ntotal, rows.code_size)


def _read(path: Path) -> faiss.Index:
    try:
        return faiss.read_index(str(path))
    except (RuntimeError, MemoryError) as error:
        raise IndexDamaged(f"{path} is not a FAISS index.") from error


def _holds(rows: faiss.Index, dimension: int) -> bool:
    return (
        isinstance(rows, faiss.IndexScalarQuantizer)
        and rows.d == dimension
        and rows.sq.qtype == faiss.ScalarQuantizer.QT_fp16
        and rows.metric_type == faiss.METRIC_INNER_PRODUCT
        and rows.codes.size() == rows.ntotal * rows.code_size
    )
