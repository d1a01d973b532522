"""Vectors for passages, each text embedded once: taken over from SQL or from the same batch, and only then made."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.records import Passage
from rag.store.database import Database, Session
from rag.store.document_sources import ids_of_sources
from rag.store.passage_vectors import stored_vectors
from rag.store.repeated_passages import MIN_DOCUMENTS, count_documents, may_repeat
from rag.text.clean import normalized_sha256
from rag.text.context import embedded_text

Embed = Callable[[Sequence[str]], NDArray[np.float16]]


def text_sha256(text: str) -> str:
    """SHA-256 (hex) of exactly this text, which decides whether a vector can be taken over."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def repeatable_hashes(passages: Sequence[Passage]) -> set[str]:
    """The hashes of the words of those passages that can be repeated ones."""
    return {normalized_sha256(passage.text) for passage in passages if may_repeat(passage)}


class PassageVectors:
    """The vectors of one batch under one model. Handed from thread to thread, never shared.

    What is made before the transaction is what storing will most likely need; the rest is made when it is asked for.
    """

    def __init__(
        self,
        embed: Embed,
        *,
        collection_id: int,
        embedding_model: str,
        known: Mapping[str, NDArray[np.float16]] | None = None,
    ) -> None:
        """``known`` are vectors at hand, by the hash of their text."""
        self._embed, self._collection_id, self.embedding_model = embed, collection_id, embedding_model
        self._vectors = dict(known or {})
        self._unused: set[str] = set()
        """Texts that were embedded here, for which no passage has been counted yet."""
        self.repeated: set[str] = set()
        """The hashes of words that are repeated ones as soon as all of the batch is stored."""

    def expect(self, database: Database, documents: Sequence[tuple[str, str, Sequence[Passage]]]) -> None:
        """Have the vectors ready of documents, given as (source, title, passages), that are about to be stored."""
        among_these = Counter(sha256 for *_, passages in documents for sha256 in repeatable_hashes(passages))
        with database.read() as session:
            former = ids_of_sources(session, self._collection_id, [source for source, *_ in documents])
            stored = count_documents(session, self._collection_id, among_these, exclude_ids=former)
            self.repeated = {sha256 for sha256, num in among_these.items() if num + stored[sha256] >= MIN_DOCUMENTS}
            texts = [
                text for _, title, passages in documents for text in embedded_texts(title, passages, self.repeated)
            ]
            self.take_over(session, texts)
        self.embed_missing(texts)

    def take_over(self, session: Session, texts: Sequence[str]) -> None:
        """Look up those that SQL has and that are not here yet, in bulk."""
        missing = {text_sha256(text) for text in texts} - self._vectors.keys()
        if missing:
            self._vectors |= stored_vectors(session, self._collection_id, self.embedding_model, missing)

    def embed_missing(self, texts: Sequence[str]) -> None:
        """Embed those that are not here yet, each once."""
        missing = {sha256: text for text in texts if (sha256 := text_sha256(text)) not in self._vectors}
        if missing:
            self._vectors |= zip(missing, self._embed(list(missing.values())), strict=True)
            self._unused |= missing.keys()

    def get(self, session: Session, texts: Sequence[str]) -> NDArray[np.float16]:
        """The vectors (N, dimension) of texts, however they can be had; (0, 0) without any."""
        self.take_over(session, texts)
        self.embed_missing(texts)
        if not texts:
            return np.empty((0, 0), dtype=np.float16)
        return np.stack([self._vectors[text_sha256(text)] for text in texts])

    def count_reused(self, texts: Sequence[str]) -> int:
        """How many of passages with these texts, which are being stored, cost no embedding of their own."""
        num_reused = 0
        for sha256 in map(text_sha256, texts):
            num_reused += sha256 not in self._unused
            self._unused.discard(sha256)
        return num_reused


def embedded_texts(title: str, passages: Sequence[Passage], repeated: set[str]) -> list[str]:
    """What is embedded of a document's passages, where the words of the hashes in ``repeated`` are repeated ones."""
    return [
        embedded_text(title, passage.headings, passage.text, is_repeated=is_marked(passage, repeated))
        for passage in passages
    ]


def is_marked(passage: Passage, repeated: set[str]) -> bool:
    """Whether a passage is a repeated one, where the words of the hashes in ``repeated`` are."""
    return may_repeat(passage) and normalized_sha256(passage.text) in repeated
