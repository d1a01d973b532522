"""Which document each passage of an index belongs to: how a filter on documents becomes one on passages."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.index.allowed_ids import AllowedIds

NONE = 0
"""Stands for no document: ids begin at 1."""


class PassageDocuments:
    """Document ids by passage id, in one array: eight bytes for each passage id ever given out."""

    def __init__(self, documents: NDArray[np.int64] | None = None) -> None:
        """``documents[passage id]`` is the document's id, 0 where there is no such passage."""
        self._documents = np.zeros(1, dtype=np.int64) if documents is None else documents

    def put(self, passage_ids: NDArray[np.int64], document_ids: NDArray[np.int64]) -> None:
        """Add passages, or move them to other documents."""
        if not len(passage_ids):
            return
        missing = int(passage_ids.max()) + 1 - len(self._documents)
        if missing > 0:
            # Doubled, so that adding one at a time does not copy everything every time.
            room = np.zeros(max(missing, len(self._documents)), dtype=np.int64)
            self._documents = np.concatenate([self._documents, room])
        self._documents[passage_ids] = document_ids

    def remove(self, passage_ids: NDArray[np.int64]) -> None:
        """Forget passages; those that are not there are passed over."""
        self._documents[passage_ids[passage_ids < len(self._documents)]] = NONE

    def allowed(self, document_ids: NDArray[np.int64]) -> AllowedIds:
        """The passages of these documents."""
        wanted = np.zeros(int(max(self._documents.max(initial=0), document_ids.max(initial=0))) + 1, dtype=np.bool_)
        wanted[document_ids] = True
        wanted[NONE] = False
        return AllowedIds.of_mask(wanted[self._documents])

    def save(self, path: Path) -> None:
        """Write the array to a file."""
        np.save(path, np.trim_zeros(self._documents, "b"), allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> "PassageDocuments":
        """Read the array from a file.

        Raises:
            IndexDamaged: it is not such a file.
        """
        try:
            documents = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise IndexDamaged(f"{path} is not a list of documents.") from error
        if documents.ndim != 1 or documents.dtype != np.int64:
            raise IndexDamaged(f"{path} is not a list of documents.")
        return cls(documents)
