"""The indexes of all collections in one process, opened when they are first asked for."""

import threading
from pathlib import Path

from rag.errors import InvalidInput
from rag.index.collection_index import CollectionIndex
from rag.index.embedder import Embedder
from rag.index.vectors import VectorIndexKind
from rag.store.collections import Collection
from rag.store.database import Database


class IndexSet:
    """Hands out the index of a collection. Safe to share between threads."""

    def __init__(
        self, database: Database, embedder: Embedder, folder: Path, *, vector_index: VectorIndexKind = "auto"
    ) -> None:
        self._database, self._embedder, self._folder = database, embedder, folder
        self._vector_index: VectorIndexKind = vector_index
        self._open: dict[int, CollectionIndex] = {}
        self._lock = threading.Lock()

    def get(self, collection: Collection) -> CollectionIndex:
        """The collection's index, as it was when last refreshed.

        Raises:
            InvalidInput: the collection was embedded with another model than the one in use.
        """
        if collection.embedding_model != self._embedder.name:
            raise InvalidInput(
                f"Collection {collection.name!r} was embedded with {collection.embedding_model!r}; "
                "set embedding_model to that."
            )
        with self._lock:
            if collection.id not in self._open:
                self._open[collection.id] = CollectionIndex(
                    self._database,
                    collection_id=collection.id,
                    embedding_model=collection.embedding_model,
                    dimension=self._embedder.dimension,
                    # The moment of creation tells this collection from one of the same id in another database.
                    folder=self._folder / f"{collection.id}-{collection.created_at:%Y%m%d%H%M%S%f}",
                    vector_index=self._vector_index,
                )
            return self._open[collection.id]

    def close(self) -> None:
        """Release all indexes. They can be opened again."""
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()
