"""txtai as its documentation has hybrid search: ``Embeddings(hybrid=True, content=True)``, FAISS and SQLite within."""

import threading
from pathlib import Path

import numpy as np
from txtai import Embeddings

from peer_systems.passages import read_passages
from peer_systems.system import Place, Vectors


class WithTxtai:
    """Its database holds one connection and asks that threads be kept apart by its user, so searches take turns."""

    def __init__(self, place: Place) -> None:
        self._folder = place.folder
        self._lock = threading.Lock()
        self._embeddings = Embeddings(
            path=str(place.model), hybrid=True, content=True, gpu=False, encodebatch=place.batch_size
        )

    def ingest(self, file: Path, vectors: Vectors | None) -> None:
        passages = read_passages(file)
        if vectors is not None:
            known = {passage.words: row for passage, row in zip(passages, vectors, strict=True)}
            # Its own place for vectors made elsewhere takes them instead of texts, and then has no keyword index.
            self._embeddings.model.encode = lambda texts, _category: np.stack([known[text] for text in texts])
        self._embeddings.index((passage.id, passage.words) for passage in passages)
        self._embeddings.save(str(self._folder))

    def open(self) -> None:
        self._embeddings.load(str(self._folder))

    def search(self, question: str, *, top_k: int) -> list[str]:
        with self._lock:
            return [hit["id"] for hit in self._embeddings.search(question, top_k)]

    def close(self) -> None:
        self._embeddings.close()
