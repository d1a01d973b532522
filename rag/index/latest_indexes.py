"""The indexes of engines that keep nothing in this process that would have to be closed."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from rag.index.search_engine import SearchIndex
from rag.store.collections import Collection

Index = TypeVar("Index", bound=SearchIndex)


class LatestIndexes(Generic[Index]):
    """One index of each collection, of its latest embedding model. Safe to share between threads."""

    def __init__(self, make: Callable[[Collection, str], Index]) -> None:
        """``make`` is called with a collection and an embedding model."""
        self._make = make
        self._open: dict[int, Index] = {}
        self._lock = threading.Lock()

    def get(self, collection: Collection) -> Index:
        """The index of the collection's embedding model, made when it is first asked for."""
        with self._lock:
            index = self._open.get(collection.id)
            if index is None or index.embedding_model != collection.embedding_model:
                index = self._open[collection.id] = self._make(collection, collection.embedding_model)
            return index

    def opened(self) -> list[Index]:
        """Those that were asked for."""
        with self._lock:
            return list(self._open.values())

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._open.clear()
