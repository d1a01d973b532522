"""What the rest of the program knows of an index, whichever engine searches: this process, PostgreSQL or Milvus."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.index.fusion import Ranking
from rag.index.vectors import VectorStats
from rag.records import Caller, Fusion, SearchMode
from rag.store.collections import Collection
from rag.store.filters import Filters


class Search(Protocol):
    """A search among the passages that a filter and a caller's labels leave."""

    def __call__(
        self,
        query: str,
        vector: NDArray[np.float16],
        /,
        *,
        mode: SearchMode,
        candidates: int,
        keyword_weight: float,
        fusion: Fusion,
    ) -> Ranking:
        """The passages that both legs find. In a single-leg mode ``fused`` orders as that leg does."""
        ...


class SearchIndex(Protocol):
    """Vector and keyword index of one collection under one embedding model. Safe to share between threads."""

    def __len__(self) -> int:
        """How many passages are in."""
        ...

    @property
    def embedding_model(self) -> str:
        """Whose vectors it holds."""
        ...

    @property
    def change_id(self) -> int:
        """The last index change that is in."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where its files lie; None where it has none."""
        ...

    @property
    def vector_stats(self) -> VectorStats:
        """What its vector index is made of now."""
        ...

    def num_bytes(self) -> int | None:
        """What it takes up on disk; None where that cannot be asked."""
        ...

    def changes_behind(self) -> int:
        """How many committed changes are not in yet."""
        ...

    def vector_recall(self) -> float:
        """Recall@10 of the vector search against an exact one; see ``rag.index.recall``."""
        ...

    def problem(self) -> str | None:
        """What is wrong with it, beside what its length and its recall show."""
        ...

    def refresh(self, newest: int | None = None) -> int:
        """Make sure that it holds what is committed; returns the last change id that is in.

        ``newest`` is the last change that the caller knows of: where it is in, SQL is not asked.

        Raises:
            Busy, IndexUnavailable: another server searches, and it cannot be brought up to date now.
        """
        ...

    def searcher(self, filters: Filters, caller: Caller) -> Search:
        """A search among what ``filters`` and the labels of ``caller`` leave.

        Raises:
            InvalidInput: the filter is malformed.
        """
        ...

    def rebuild(self) -> None:
        """Make it anew from SQL, nothing embedded again; searches go on meanwhile."""
        ...

    def optimize(self) -> None:
        """Give the vector index the structure that its size calls for; searches go on meanwhile."""
        ...

    def save(self) -> bool:
        """Keep what is only in this process for the next one; says whether there was anything to keep."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class SearchEngine(Protocol):
    """The indexes of all collections. Safe to share between threads."""

    def get(self, collection: Collection) -> SearchIndex:
        """The index of the collection's embedding model.

        Raises:
            InvalidInput: its embedding model is not on this machine.
        """
        ...

    def open(self, collection: Collection, *, embedding_model: str | None = None) -> SearchIndex:
        """An index that is the caller's to close: of the collection's own embedding model, or of another."""
        ...

    def forget(self, collection: Collection, *, embedding_model: str) -> None:
        """Drop what was kept of an index of a model that is going to be embedded, or is not embedded any more."""
        ...

    def opened(self) -> list[SearchIndex]:
        """The indexes that searches go to now."""
        ...

    def check(self) -> None:
        """Make sure that what searches beside this process and the database answers.

        Raises:
            IndexUnavailable: it does not.
        """
        ...

    def close(self) -> None:
        """Release all indexes. They can be opened again."""
        ...
