"""The vector leg: an exact inner-product search in FAISS, passage ids as vector ids."""

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged


class VectorIndex:
    """Unit vectors by passage id. Exact: with the few thousand to a few hundred thousand passages of the embedded
    default, a scan finds every true neighbour and takes milliseconds."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def ids(self) -> NDArray[np.int64]:
        """The passage ids, in no order."""
        ids: NDArray[np.int64] = faiss.vector_to_array(self._index.id_map)
        return ids

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Add vectors (N, dimension); an id that is there already is replaced."""
        if len(ids):
            self.remove(ids)
            self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Remove ids; those that are not there are passed over."""
        if len(ids) and len(self):
            self._index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(ids, dtype=np.int64)))

    def search(
        self, query: NDArray[np.float16], *, limit: int, allowed: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """The nearest ``limit`` passages as (passage id, cosine), best first; only of ``allowed`` ids if given."""
        limit = min(limit, len(self) if allowed is None else len(allowed))
        if limit < 1:
            return []
        parameters = None
        if allowed is not None:
            # A bitmap answers in constant time for each vector, where a batch selector looks up a hash set.
            bits = np.zeros(int(max(allowed.max(), self.ids.max(initial=0))) // 8 + 1, dtype=np.uint8)
            np.bitwise_or.at(bits, allowed // 8, (1 << (allowed % 8)).astype(np.uint8))
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg, arg-type]
        scores, ids = self._index.search(query[None].astype(np.float32), limit, params=parameters)
        hits = [(int(i), float(score)) for i, score in zip(ids[0], scores[0], strict=True) if i >= 0]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))

    def cosines(self, query: NDArray[np.float16], ids: Sequence[int]) -> dict[int, float]:
        """The cosine of each of these passages; those that are not in the index are left out."""
        here = [i for i, there in zip(ids, np.isin(list(ids), self.ids), strict=True) if there] if ids else []
        if not here:
            return {}
        vectors = self._index.reconstruct_batch(np.asarray(here, dtype=np.int64))
        return dict(zip(here, (vectors @ query.astype(np.float32)).tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path, dimension: int) -> "VectorIndex":
        """Read an index from a file.

        Raises:
            IndexDamaged: it is not such an index, or has another dimension.
        """
        try:
            loaded = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexDamaged(f"{path} is not a FAISS index.") from error
        if not isinstance(loaded, faiss.IndexIDMap2) or loaded.d != dimension:
            raise IndexDamaged(f"{path} holds another kind of index than this version writes.")
        index = cls(dimension)
        index._index = loaded
        return index
