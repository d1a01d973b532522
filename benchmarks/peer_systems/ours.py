"""This project, through its public face: ``Rag.ingest`` into SQL and ``Rag.search``, everything else as it ships."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from peer_systems.passages import read_passages
from peer_systems.system import Place, Vectors
from rag.assemble import Rag
from rag.config import Settings
from rag.index.embedder import Embedder
from rag.index.embedders import Embedders
from rag.ingest.file_options import FileOptions
from rag.store import migrate
from rag.store.database import Database


class Ours:
    """Each passage is a document of its own, read from the file by the normal pipeline.

    It is hashed, compared with all others for near duplicates, split (which leaves it whole), embedded, committed to
    SQL and indexed, and the index is saved.
    """

    def __init__(self, place: Place) -> None:
        settings = Settings(data_dir=place.folder, embedding_dtype=place.dtype, embedding_batch_size=place.batch_size)
        if not any(place.folder.iterdir()):
            database = Database(settings.resolved_database_url)
            migrate.upgrade(database)
            database.dispose()
        self._service = Rag(settings)
        self._service.embedders.get(self._service.embedders.default)

    def ingest(self, file: Path, vectors: Vectors | None) -> None:
        given = None if vectors is None else _Given(self._service.embedders, file, vectors)
        if given:
            self._service.__dict__["embedders"] = given
        options = FileOptions(text_field="text", title_field="title", id_field="id")
        report = self._service.ingest(file, options=options)
        num_given = len(read_passages(file))
        assert report.num_passages == num_given, f"{report.num_passages} passages of {num_given} were stored"
        assert given is None or not given.num_embedded, f"{given.num_embedded} passages are not those that were given"

    def open(self) -> None:
        """Its indexes are opened by the first search."""

    def search(self, question: str, *, top_k: int) -> list[str]:
        hits = self._service.search(question, top_k=top_k)
        return [unquote(hit.source.rpartition("#id=")[2]) for hit in hits]

    def close(self) -> None:
        self._service.close()


class _Given(Embedders):
    """Embedding models that look up the vectors of known passages."""

    def __init__(self, embedders: Embedders, file: Path, vectors: Vectors) -> None:
        self.default = embedders.default
        self._embedders = embedders
        halves = vectors.astype(np.float16)
        self._known = {passage.words: row for passage, row in zip(read_passages(file), halves, strict=True)}
        self.num_embedded = 0

    def get(self, name: str) -> Embedder:
        return _LookUp(self, self._embedders.get(name))

    def embed(self, model: Embedder, texts: Sequence[str]) -> NDArray[np.float16]:
        """The known vectors, or, if any is unknown, the model's, which are counted."""
        found = [self._known.get(text) for text in texts]
        rows = [row for row in found if row is not None]
        if len(rows) == len(texts) > 0:
            return np.stack(rows)
        self.num_embedded += len(texts) - len(rows)
        return model.embed(texts)


class _LookUp(Embedder):
    """One of them."""

    def __init__(self, given: _Given, model: Embedder) -> None:
        self.name, self.dimension = model.name, model.dimension
        self._given, self._behind = given, model

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        return self._given.embed(self._behind, texts)

    def embed_query(self, text: str) -> NDArray[np.float16]:
        return self._behind.embed_query(text)
