"""The vector leg: passages by the cosine of their unit vectors, exact while few, by an HNSW graph when many.

An index has two parts, and every search looks into both and merges what it found:

- **linked** vectors, in a graph that is walked. Nearly exact, and hardly slower for ten times as many;
- **unlinked** vectors, in rows that are scanned. Exact; the time grows with their number.

``add`` only appends rows, so it makes nobody wait, and what it added is found at once. Linking takes half a
millisecond to a millisecond a vector. It is left to ``optimize``, which whoever writes the index calls, in slices if
searches must go on. Neither part can take a vector out. ``remove`` marks its position, and searches pass over marked
ones; when too many are marked, the part is made anew.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Literal, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.index import vector_storage as storage
from rag.index.allowed_ids import AllowedIds

log = logging.getLogger(__name__)

VectorIndexKind = Literal["auto", "exact", "hnsw"]

GRAPH_FROM = 50_000
"""Vectors from which ``auto`` makes a graph: below, a scan takes a few milliseconds and misses nothing."""

GRAPH_UNTIL = 25_000
"""Vectors below which ``auto`` gives a graph up again; far from the other limit, so as not to go to and fro."""

MAX_REMOVED = 0.2
"""Share of removed vectors in a part above which it is made anew."""

MIN_WIDTH = 320
"""The least number of near vectors that a walk keeps in view."""

WIDENED_FROM = 100_000
"""Linked vectors beyond which that least number grows, with the root of theirs: more ways lead astray then.

A million needs a thousand in view: with 320, recall@10 was .73 there.
"""

WIDTH_FACTOR = 3
"""How many near vectors a walk keeps in view for each one wanted."""

SURE = 2
"""Only the nearest half of what a walk keeps in view counts: of the other half it misses more."""

WIDENING = 4
"""How many times as much the next walk keeps in view when one saw too few allowed vectors."""

SCAN_PER_STEP = 100
"""Keeping one more vector in view takes a walk as long as a scan takes for so many vectors."""

PICK_BELOW = 0.005
"""Share of allowed vectors below which a scan picks them out first; above, it asks of each vector if it is allowed."""

REMOVED = -1
"""Stands for the passage id at the position of a removed vector."""

IDS_FILE, ROWS_FILE, GRAPH_FILE = "ids.npy", "rows.faiss", "graph.faiss"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStats:
    """What a vector index is made of now; ``num_bytes`` is the memory that vectors, links and ids fill.

    Each search scans ``num_unlinked`` vectors, in an exact index all; ``num_removed`` removed ones still take up room.
    """

    kind: Literal["exact", "hnsw"]
    num_vectors: int
    num_unlinked: int
    num_removed: int
    num_bytes: int


class VectorIndex:
    """Unit vectors by passage id. Any number of threads may search at once while none writes."""

    def __init__(self, dimension: int, *, kind: VectorIndexKind = "auto") -> None:
        """An empty index. ``kind`` says what ``optimize`` makes: ``exact`` never links, ``hnsw`` always does."""
        self.dimension = dimension
        self._wanted_kind = kind
        self._graph: faiss.IndexHNSWSQ | None = None
        self._rows = storage.new_rows(dimension)
        self._set_ids(np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._sorted_ids)

    @property
    def ids(self) -> NDArray[np.int64]:
        """The passage ids, ascending."""
        return self._sorted_ids

    @property
    def kind(self) -> Literal["exact", "hnsw"]:
        """The structure in use now."""
        return "exact" if self._graph is None else "hnsw"

    @property
    def num_bytes(self) -> int:
        """The memory that vectors, links and ids fill."""
        graph = storage.num_bytes(self._graph) if self._graph is not None else 0
        ids = self._ids.nbytes + self._sorted_ids.nbytes + self._sorted_positions.nbytes
        return graph + storage.num_bytes(self._rows) + ids

    @property
    def stats(self) -> VectorStats:
        """What it is made of now."""
        return VectorStats(
            kind=self.kind,
            num_vectors=len(self),
            num_unlinked=self._rows.ntotal,
            num_removed=len(self._ids) - len(self),
            num_bytes=self.num_bytes,
        )

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Add vectors (N, dimension) under distinct ids; an id that is there already is replaced.

        Raises:
            ValueError: an id is negative or given twice, or ``vectors`` is of another shape.
        """
        if not len(ids) and not len(vectors):
            return
        if vectors.shape != (len(ids), self.dimension):
            raise ValueError(f"{len(ids)} ids need vectors ({len(ids)}, {self.dimension}), not {vectors.shape}")
        if ids.min() < 0 or len(np.unique(ids)) < len(ids):
            raise ValueError("passage ids are not negative, and each is given once")
        self.remove(ids)
        storage.append(self._rows, vectors)
        self._set_ids(np.concatenate([self._ids, ids]))

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Remove ids; those that are not there are passed over."""
        positions = self._positions(ids)
        if (positions >= 0).any():
            marked = self._ids.copy()
            marked[positions[positions >= 0]] = REMOVED
            self._set_ids(marked)
            if _share_removed(self._ids[self._num_linked :]) > MAX_REMOVED:
                self._drop_removed_rows()

    def optimize(self, *, max_vectors: int | None = None) -> bool:
        """Link what is not linked if a graph is wanted; give it up if not; make it anew if too much of it was removed.

        At most ``max_vectors``, one or more, are linked, all if it is None; says whether there is more to link. Between
        two calls the index finds what it always finds, and takes longer the more is not linked yet.
        """
        wanted = self._wants_graph()
        if self._graph is not None and not (wanted and _share_removed(self._ids[: self._num_linked]) <= MAX_REMOVED):
            self._unlink()
        if not wanted:
            return False
        self._drop_removed_rows()
        if self._graph is None:
            log.info("Linking %d vectors; that takes up to a millisecond each.", self._rows.ntotal)
            self._graph = storage.new_graph(self.dimension)
        num = self._rows.ntotal
        storage.link(self._graph, self._rows, num if max_vectors is None else min(max_vectors, num))
        if not self._rows.ntotal:
            self._rows = storage.new_rows(self.dimension)  # emptied ones would keep their memory
        return self._rows.ntotal > 0

    def search(
        self, query: NDArray[np.float16], *, limit: int, allowed: AllowedIds | None = None
    ) -> list[tuple[int, float]]:
        """The nearest ``limit`` passages as (passage id, cosine), best first; only of ``allowed`` ids if given.

        It is never fewer than ``limit`` while so many are allowed, however far from the query they are.
        """
        return self.search_batch(query[None], limit=limit, allowed=allowed)[0]

    def search_batch(
        self, queries: NDArray[np.float16], *, limit: int, allowed: AllowedIds | None = None
    ) -> list[list[tuple[int, float]]]:
        """What ``search`` finds for each of ``queries`` (Q, dimension): the same as alone, sooner."""
        return self._search(queries, limit=limit, allowed=allowed, exact=False)

    def exact_search(
        self, query: NDArray[np.float16], *, limit: int, allowed: AllowedIds | None = None
    ) -> list[tuple[int, float]]:
        """What ``search`` would find if it missed nothing: all allowed vectors are scanned."""
        return self._search(query[None], limit=limit, allowed=allowed, exact=True)[0]

    def cosines(self, query: NDArray[np.float16], ids: Sequence[int]) -> dict[int, float]:
        """The cosine of each of these passages; those that are not in the index are left out."""
        asked = np.asarray(ids, dtype=np.int64)
        here = asked[self._positions(asked) >= 0]
        return dict(zip(here.tolist(), (self.vectors(here) @ query.astype(np.float32)).tolist(), strict=True))

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors (N, dimension) of ids that are in the index.

        Raises:
            KeyError: one is not.
        """
        positions = self._positions(ids)
        if (positions < 0).any():
            raise KeyError(int(ids[positions < 0][0]))
        vectors = np.empty((len(ids), self.dimension), dtype=np.float32)
        linked = positions < self._num_linked
        if self._graph is not None:
            vectors[linked] = self._graph.reconstruct_batch(positions[linked])
        vectors[~linked] = self._rows.reconstruct_batch(positions[~linked] - self._num_linked)
        return vectors

    def save(self, folder: Path) -> None:
        """Write the index into a folder of its own."""
        folder.mkdir()
        np.save(folder / IDS_FILE, self._ids)
        faiss.write_index(self._rows, str(folder / ROWS_FILE))
        if self._graph is not None:
            faiss.write_index(self._graph, str(folder / GRAPH_FILE))

    @classmethod
    def load(cls, folder: Path, dimension: int, *, kind: VectorIndexKind = "auto") -> Self:
        """Read an index that ``save`` wrote. What ``kind`` wants but the folder lacks is left to ``optimize``.

        Everything is read, nothing mapped: FAISS cannot add to a mapped graph, and a million vectors take a second.

        Raises:
            IndexDamaged: a file is missing, is something else, or does not fit the others, or the dimension differs.
        """
        index = cls(dimension, kind=kind)
        index._rows = storage.read_rows(folder / ROWS_FILE, dimension)
        if (folder / GRAPH_FILE).exists():
            index._graph = storage.read_graph(folder / GRAPH_FILE, dimension)
        try:
            ids = np.load(folder / IDS_FILE, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise IndexDamaged(f"{folder / IDS_FILE} holds no passage ids.") from error
        if ids.shape != (index._num_linked + index._rows.ntotal,) or ids.dtype != np.int64:
            raise IndexDamaged(f"{folder} does not hold one passage id for each vector.")
        index._set_ids(ids)
        if kind == "exact" and index._graph is not None:
            index._unlink()
        return index

    @property
    def _num_linked(self) -> int:
        return int(self._graph.ntotal) if self._graph is not None else 0

    def _wants_graph(self) -> bool:
        if self._wanted_kind == "auto":
            return len(self) >= (GRAPH_FROM if self._graph is None else GRAPH_UNTIL)
        return self._wanted_kind == "hnsw" and len(self) > 0

    def _set_ids(self, ids: NDArray[np.int64]) -> None:
        """Note the id at each position, linked ones first, and what finds the position of an id again."""
        positions = np.flatnonzero(ids != REMOVED)
        # Passages come and stay nearly in the order of their ids, which this kind of sorting uses.
        positions = positions[np.argsort(ids[positions], kind="stable")]
        self._ids, self._sorted_ids, self._sorted_positions = ids, ids[positions], positions

    def _positions(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The position of each id, -1 for those that are not there."""
        if not len(self):
            return np.full(len(ids), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._sorted_ids, ids), len(self) - 1)
        return np.where(self._sorted_ids[at] == ids, self._sorted_positions[at], -1)

    def _drop_removed_rows(self) -> None:
        linked, unlinked = np.split(self._ids, [self._num_linked])
        if (unlinked == REMOVED).any():
            kept = storage.new_rows(self.dimension)
            storage.copy_rows(self._rows, unlinked != REMOVED, into=kept)
            self._rows = kept
            self._set_ids(np.concatenate([linked, unlinked[unlinked != REMOVED]]))

    def _unlink(self) -> None:
        """Give the graph up: all vectors that are not removed become rows to scan."""
        assert self._graph is not None
        kept = storage.new_rows(self.dimension)
        linked, unlinked = np.split(self._ids, [self._num_linked])
        storage.copy_rows(storage.rows_of(self._graph), linked != REMOVED, into=kept)
        storage.copy_rows(self._rows, unlinked != REMOVED, into=kept)
        self._graph, self._rows = None, kept
        self._set_ids(self._ids[self._ids != REMOVED])

    def _search(
        self, queries: NDArray[np.float16], *, limit: int, allowed: AllowedIds | None, exact: bool
    ) -> list[list[tuple[int, float]]]:
        limit = min(limit, len(self) if allowed is None else allowed.count)
        if limit < 1 or not len(self) or not len(queries):
            return [[] for _ in queries]
        wide = np.ascontiguousarray(queries, dtype=np.float32)
        found = [self._scan(self._rows, self._num_linked, wide, limit, allowed)]
        if self._graph is not None:
            found.append(self._search_graph(self._graph, wide, limit, allowed, exact=exact))
        scores, ids = (np.concatenate(parts, axis=1).tolist() for parts in zip(*found, strict=True))
        return [_best(*hits, limit) for hits in zip(ids, scores, strict=True)]

    def _search_graph(
        self,
        graph: faiss.IndexHNSWSQ,
        queries: NDArray[np.float32],
        limit: int,
        allowed: AllowedIds | None,
        *,
        exact: bool,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids (Q, limit) of the nearest linked vectors, -1 where there are too few.

        A walk sees the nearest vectors whether they are allowed or not. So it keeps as many in view as should hold
        ``limit`` allowed ones, and what it finds is right whatever the filter has to do with the query. Where it saw
        too few, a wider one follows; where a scan of all that is allowed is quicker, that.
        """
        ids = self._ids[: graph.ntotal]
        num_allowed = min(graph.ntotal, len(self) if allowed is None else allowed.count)
        best_scores = np.full((len(queries), limit), -np.inf, dtype=np.float32)
        best_ids = np.full((len(queries), limit), -1, dtype=np.int64)
        left = np.arange(len(queries))
        width = max(least_width(graph.ntotal), ceil(WIDTH_FACTOR * limit * graph.ntotal / num_allowed))
        while not exact and len(left) and width * SCAN_PER_STEP < num_allowed:
            scores, positions = storage.walk(graph, queries[left], width)
            seen = _ids_at(ids, positions)
            if allowed is not None:
                seen = np.where(allowed.contain(seen), seen, -1)
            enough = np.count_nonzero(seen[:, : width // SURE] >= 0, axis=1) >= limit
            first = np.argsort(seen[enough] < 0, axis=1, kind="stable")[:, :limit]
            best_scores[left[enough]] = np.take_along_axis(scores[enough], first, axis=1)
            best_ids[left[enough]] = np.take_along_axis(seen[enough], first, axis=1)
            left, width = left[~enough], width * WIDENING
        if len(left):
            scores, seen = self._scan(storage.rows_of(graph), 0, queries[left], limit, allowed)
            best_scores[left, : scores.shape[1]], best_ids[left, : seen.shape[1]] = scores, seen
        return best_scores, best_ids

    def _scan(
        self,
        rows: faiss.IndexScalarQuantizer,
        first: int,
        queries: NDArray[np.float32],
        limit: int,
        allowed: AllowedIds | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids (Q, at most limit) of the nearest of ``rows``, which begin at position ``first``."""
        ids = self._ids[first : first + rows.ntotal]
        if allowed is not None and allowed.count < PICK_BELOW * len(ids):
            places = self._positions(allowed.ids) - first
            places = places[(places >= 0) & (places < len(ids))]
            scores, positions = storage.scan(storage.picked_rows(rows, places), queries, limit, None)
            return scores, _ids_at(ids[places], positions)
        mask = ids != REMOVED if allowed is None else allowed.contain(ids)
        scores, positions = storage.scan(rows, queries, limit, mask)
        return scores, _ids_at(ids, positions)


def _ids_at(ids: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids at positions of any shape; -1 where a position is -1, for there is nothing."""
    return np.where(positions >= 0, ids[positions], -1)


def _best(ids: list[int], scores: list[float], limit: int) -> list[tuple[int, float]]:
    hits = [(passage_id, score) for passage_id, score in zip(ids, scores, strict=True) if passage_id >= 0]
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:limit]


def least_width(num_linked: int) -> int:
    """The least number of near vectors that a walk through so many keeps in view."""
    return ceil(MIN_WIDTH * sqrt(max(1.0, num_linked / WIDENED_FROM)))


def _share_removed(ids: NDArray[np.int64]) -> float:
    return float(np.count_nonzero(ids == REMOVED)) / max(1, len(ids))
