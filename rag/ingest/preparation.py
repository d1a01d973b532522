"""What happens to a document between reading and storing: hash, signature, passages, embeddings."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.index.embedders import Embedders, EmbeddingRecipe
from rag.ingest.passage_vectors import PassageVectors
from rag.ingest.prepared_document import PreparedDocument, prepare
from rag.reader.input_format import ReaderTokenizer
from rag.records import Document, Passage, Section
from rag.text.split import split_passages

PIPELINE_VERSION = 2
"""Raise it when reading or splitting changes: documents ingested under another version are then done again."""


class Preparer:
    """Prepares documents with one embedding model and one passage size."""

    def __init__(
        self,
        embedders: Embedders,
        tokenizer: ReaderTokenizer,
        *,
        passage_tokens: int,
        embedding_model: str | None = None,
    ) -> None:
        """``embedding_model`` None is the model of new collections."""
        self._embedders, self._tokenizer, self._passage_tokens = embedders, tokenizer, passage_tokens
        self.embedding_model = embedding_model or embedders.default
        """Name of the model whose vectors these are."""

    def with_model(self, embedding_model: str) -> "Preparer":
        """The same with another embedding model."""
        return Preparer(
            self._embedders,
            self._tokenizer,
            passage_tokens=self._passage_tokens,
            embedding_model=embedding_model,
        )

    @property
    def embedding_recipe(self) -> EmbeddingRecipe:
        """What another process needs to embed as this one does."""
        return self._embedders.recipe(self.embedding_model)

    @property
    def pipeline(self) -> str:
        """What a document's passages depend on beside its text; kept with it to notice a change."""
        return f"{PIPELINE_VERSION}:passage_tokens={self._passage_tokens}"

    def prepare(self, document: Document, *, fields: str = "") -> PreparedDocument:
        """Hash and sign a document; ``fields`` says which fields of a record it was read from, if that was chosen."""
        return prepare(document, pipeline=self.pipeline + fields)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Unit vectors (N, dimension) of texts."""
        return self._embedders.get(self.embedding_model).embed(texts)

    def split(self, text: str, sections: Sequence[Section]) -> list[Passage]:
        """The passages of a document."""
        return split_passages(
            text, sections, count_tokens=self._tokenizer.count_tokens, max_tokens=self._passage_tokens
        )

    def passages(self, prepared: PreparedDocument) -> Sequence[Passage]:
        """The passages of a prepared document; where they were made with it, these."""
        if prepared.passages is not None:
            return prepared.passages
        return self.split(prepared.document.text, prepared.document.sections)

    def vectors(self, collection_id: int, *, known: Mapping[str, NDArray[np.float16]] | None = None) -> PassageVectors:
        """Vectors for passages of a collection; ``known`` are some that are at hand, by the hash of their text."""
        return PassageVectors(
            self.embed, collection_id=collection_id, embedding_model=self.embedding_model, known=known
        )


def carried_tokenizer() -> ReaderTokenizer:
    """The tokenizer that passages are counted in, whatever model embeds them."""
    return ReaderTokenizer.load(model_folder(CARRIED_MODEL))
