"""Vectors for passages, each text embedded once: taken over from SQL or from the same batch, and only then made.

The words of a repeated passage (``rag.store.repeated_passages``) are embedded once for all documents, without a title.
A vector without a title is hard to find for who names the document, so the title's own is added: a short text, and one
for each document. docs/duplicates.md has the figures.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.records import Passage
from rag.store.database import Database, Session
from rag.store.document_sources import ids_of_sources
from rag.store.passage_vectors import put_shared_vectors, stored_vectors
from rag.store.repeated_passages import MIN_DOCUMENTS, count_documents, may_repeat
from rag.text.clean import normalized_sha256
from rag.text.context import EmbeddedPassage, embedded_passage, text_sha256

Embed = Callable[[Sequence[str]], NDArray[np.float16]]
TITLE_WEIGHT = 0.6
"""What a title's vector counts beside that of the words: such passages are then found about as well as others."""


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
        """``known`` are vectors at hand, by the hash of what they were made of."""
        self._embed, self._collection_id, self.embedding_model = embed, collection_id, embedding_model
        self._vectors = dict(known or {})
        self._unused: set[str] = set()
        """Texts that were embedded here, for which no passage has been counted yet."""
        self._unsaved: set[str] = set()
        """Words of repeated passages that were embedded here, and are not in SQL yet."""
        self.repeated: set[str] = set()
        """The hashes of words that are repeated ones as soon as all of the batch is stored."""

    def expect(
        self, database: Database, documents: Sequence[tuple[str, str, Sequence[Passage]]], *, embed: Embed
    ) -> None:
        """Have the vectors ready of documents, given as (source, title, passages), that are about to be stored.

        ``embed`` is waited for outside of any transaction, so it may take long; what only the transaction asks for is
        embedded in this process.
        """
        among_these = Counter(sha256 for *_, passages in documents for sha256 in repeatable_hashes(passages))
        with database.read() as session:
            former = ids_of_sources(session, self._collection_id, [source for source, *_ in documents])
            stored = count_documents(session, self._collection_id, among_these, exclude_ids=former)
            self.repeated = {sha256 for sha256, num in among_these.items() if num + stored[sha256] >= MIN_DOCUMENTS}
            wanted = [
                one for _, title, passages in documents for one in embedded_passages(title, passages, self.repeated)
            ]
            self.take_over(session, wanted)
        self.embed_missing(wanted, embed)

    def take_over(self, session: Session, wanted: Sequence[EmbeddedPassage]) -> None:
        """Look up the vectors that SQL has and that are not here yet, in bulk."""
        self._take_over(session, {one.sha256 for one in wanted})
        self._take_over(session, {text_sha256(text) for text in self._parts(wanted)})

    def embed_missing(self, wanted: Sequence[EmbeddedPassage], embed: Embed | None = None) -> None:
        """Embed what is not here yet, each text once; with ``embed``, where it is given."""
        parts = {text_sha256(text): text for text in self._parts(wanted)}
        missing = {sha256: text for sha256, text in parts.items() if sha256 not in self._vectors}
        if missing:
            self._vectors |= zip(missing, (embed or self._embed)(list(missing.values())), strict=True)
        for one in wanted:
            words = text_sha256(one.text)
            if words in missing:
                self._unused.add(words)
                if one.is_repeated:
                    self._unsaved.add(words)
            if one.sha256 not in self._vectors:
                self._vectors[one.sha256] = _with_title(self._vectors[words], self._vectors[text_sha256(one.title)])

    def get(self, session: Session, wanted: Sequence[EmbeddedPassage]) -> NDArray[np.float16]:
        """The vectors (N, dimension) of passages that are being stored, however they can be had; (0, 0) of none."""
        self.take_over(session, wanted)
        self.embed_missing(wanted)
        shared = {text_sha256(one.text) for one in wanted if one.is_repeated} & self._unsaved
        put_shared_vectors(
            session,
            self._collection_id,
            self.embedding_model,
            {sha256: self._vectors[sha256] for sha256 in sorted(shared)},
        )
        self._unsaved -= shared
        if not wanted:
            return np.empty((0, 0), dtype=np.float16)
        return np.stack([self._vectors[one.sha256] for one in wanted])

    def count_reused(self, stored: Sequence[EmbeddedPassage]) -> int:
        """How many of these passages, which have been stored, did not need their words embedded."""
        num_reused = 0
        for words in (text_sha256(one.text) for one in stored):
            num_reused += words not in self._unused
            self._unused.discard(words)
        return num_reused

    def _parts(self, wanted: Sequence[EmbeddedPassage]) -> list[str]:
        """The texts that the vectors which are not here yet are made of."""
        missing = [one for one in wanted if one.sha256 not in self._vectors]
        return [text for one in missing for text in ((one.text, one.title) if one.title else (one.text,))]

    def _take_over(self, session: Session, hashes: set[str]) -> None:
        missing = hashes - self._vectors.keys()
        if missing:
            self._vectors |= stored_vectors(session, self._collection_id, self.embedding_model, missing)


def repeatable_hashes(passages: Sequence[Passage]) -> set[str]:
    """The hashes of the words of those passages that can be repeated ones."""
    return {normalized_sha256(passage.text) for passage in passages if may_repeat(passage)}


def is_marked(passage: Passage, repeated: set[str]) -> bool:
    """Whether a passage is a repeated one, where the words of the hashes in ``repeated`` are."""
    return may_repeat(passage) and normalized_sha256(passage.text) in repeated


def embedded_passages(title: str, passages: Sequence[Passage], repeated: set[str]) -> list[EmbeddedPassage]:
    """What the vectors of a document's passages are made of; ``repeated`` as in :func:`is_marked`."""
    return [
        embedded_passage(title, passage.headings, passage.text, is_repeated=is_marked(passage, repeated))
        for passage in passages
    ]


def _with_title(words: NDArray[np.float16], title: NDArray[np.float16]) -> NDArray[np.float16]:
    mixed = words.astype(np.float32) + TITLE_WEIGHT * title.astype(np.float32)
    unit: NDArray[np.float16] = (mixed / np.linalg.norm(mixed)).astype(np.float16)
    return unit
