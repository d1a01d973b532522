"""The indexes of all collections in one process, opened when they are first asked for."""

import hashlib
import shutil
import threading
from pathlib import Path

from rag.index.collection_index import CollectionIndex
from rag.index.embedders import Embedders
from rag.index.search_engine import SearchIndex
from rag.index.vectors import VectorIndexKind
from rag.store.collections import Collection
from rag.store.database import Database

NUM_KEPT = 2
"""Indexes of one collection: of its embedding model, and of the one before."""


class IndexSet:
    """Hands out the index of a collection. Safe to share between threads."""

    def __init__(
        self, database: Database, embedders: Embedders, folder: Path, *, vector_index: VectorIndexKind = "auto"
    ) -> None:
        self._database, self._embedders, self._folder = database, embedders, folder
        self._vector_index: VectorIndexKind = vector_index
        # By id and embedding model, the latest last.
        self._open: dict[tuple[int, str], CollectionIndex] = {}
        self._lock = threading.Lock()

    def get(self, collection: Collection) -> CollectionIndex:
        """The index of the collection's embedding model, as it was when last refreshed.

        Where the collection has another embedding model than before, its former index stays for the searches that are
        under way, and one before that is closed.

        Raises:
            InvalidInput: its embedding model is not on this machine.
        """
        with self._lock:
            key = (collection.id, collection.embedding_model)
            if key not in self._open:
                self._open[key] = self.open(collection)
                for former in [key for key in self._open if key[0] == collection.id][:-NUM_KEPT]:
                    self._open.pop(former).close()
            return self._open[key]

    def open(self, collection: Collection, *, embedding_model: str | None = None) -> CollectionIndex:
        """Open an index that is the caller's to close: of the collection's own embedding model, or of another."""
        model = embedding_model or collection.embedding_model
        return CollectionIndex(
            self._database,
            collection_id=collection.id,
            embedding_model=model,
            dimension=self._embedders.get(model).dimension,
            folder=self.folder_of(collection, embedding_model=model),
            vector_index=self._vector_index,
        )

    def folder_of(self, collection: Collection, *, embedding_model: str | None = None) -> Path:
        """Where the snapshots of a collection lie."""
        model = hashlib.sha256((embedding_model or collection.embedding_model).encode()).hexdigest()[:8]
        # The moment of creation tells this collection from one of the same id in another database.
        return self._folder / f"{collection.id}-{collection.created_at:%Y%m%d%H%M%S%f}-{model}"

    def forget(self, collection: Collection, *, embedding_model: str) -> None:
        """Drop the snapshots of a model. They would not hear of what is going to be embedded."""
        shutil.rmtree(self.folder_of(collection, embedding_model=embedding_model), ignore_errors=True)

    def opened(self) -> list[SearchIndex]:
        """The indexes that searches go to now: of each collection that was asked for, that of its latest model."""
        with self._lock:
            return list({collection_id: index for (collection_id, _), index in self._open.items()}.values())

    def check(self) -> None:
        """Nothing outside this process is needed."""

    def close(self) -> None:
        """Release all indexes. They can be opened again."""
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()
