"""Embedding a collection anew with another model, beside the generation that answers, and switching over at once.

What is embedded is committed batch by batch, so the same command after a kill goes on where it stopped. Only the
last few passages, those that came while the new index was built, are embedded while writers wait.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.index.search_engine import SearchEngine
from rag.ingest.passage_vectors import PassageVectors
from rag.ingest.preparation import Preparer
from rag.store.collections import Collection, get_collection
from rag.store.database import Database, Session
from rag.store.embedding_generations import (
    activate_generation,
    announce_embeddings,
    begin_generation,
    drop_generation,
    num_without_embedding,
    passages_without_embedding,
    put_embeddings,
)
from rag.store.index_changes import lock_collection
from rag.store.passage_words import PassageWords
from rag.text.context import EmbeddedPassage, embedded_passage

BATCH = 256
"""Passages in one transaction: some seconds of embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reembedded:
    """What came of it, and which generation is searched now.

    ``num_embedded`` passages got their vectors by this call; ``num_passages_reused`` of them took over that of the same
    text.
    """

    collection: str
    embedding_model: str
    previous_model: str
    num_embedded: int
    num_passages_reused: int
    previous_kept: bool


class Reembedding:
    """One collection on its way to another embedding model."""

    def __init__(
        self, database: Database, preparer: Preparer, indexes: SearchEngine, *, collection: str, model: str
    ) -> None:
        """Nothing is read or written yet; ``preparer`` is of any model."""
        self._database, self._indexes = database, indexes
        self._preparer = preparer.with_model(model)
        self._name, self._model = collection, model
        self._num_embedded = self._num_reused = 0

    def run(self, *, keep_previous: bool, on_progress: Callable[[int, int], None]) -> Reembedded:
        """Embed what has no vector of the model yet, build its index, and search by it from then on.

        ``on_progress`` is told how many passages have vectors and how many there are.

        Raises:
            InvalidInput: the model is not on this machine, or the collection is embedded with it already.
            NotFound: there is no such collection.
            StoreUnavailable: the database cannot be written. What was embedded before stays.
        """
        self._preparer.embed(["a model that cannot be loaded is better known now"])
        with self._database.write() as session:
            found = get_collection(session, self._name)
            begin_generation(session, found.id, self._model)
            missing = num_without_embedding(session, found.id, self._model)
        # What is left of an earlier attempt would not hear of what is embedded now: only changes are announced to it.
        self._indexes.forget(found, embedding_model=self._model)
        self._embed_all(found, missing, on_progress, announce=False)
        index = self._indexes.open(found, embedding_model=self._model)
        try:
            # Everything that takes long is done; what came meanwhile is caught up with before writers have to wait.
            self._embed_all(found, missing, on_progress, announce=True)
            self._switch(found)
            index.refresh()
            index.save()
        finally:
            index.close()
        if not keep_previous:
            with self._database.write() as session:
                drop_generation(session, found.id, found.embedding_model)
            self._indexes.forget(found, embedding_model=found.embedding_model)
        return Reembedded(
            collection=self._name,
            embedding_model=self._model,
            previous_model=found.embedding_model,
            num_embedded=self._num_embedded,
            num_passages_reused=self._num_reused,
            previous_kept=keep_previous,
        )

    def _embed_all(
        self, collection: Collection, num_expected: int, on_progress: Callable[[int, int], None], *, announce: bool
    ) -> None:
        after_id = 0
        while True:
            with self._database.read() as session:
                passages = passages_without_embedding(
                    session, collection.id, self._model, after_id=after_id, limit=BATCH
                )
            if not passages:
                return
            vectors = self._preparer.vectors(collection.id)
            wanted = _embedded(passages)
            with self._database.read() as session:
                vectors.take_over(session, wanted)
            vectors.embed_missing(wanted)
            with self._database.write() as session:
                self._put(session, collection, passages, vectors, announce=announce)
            after_id = passages[-1].passage_id
            on_progress(self._num_embedded, max(num_expected, self._num_embedded))

    def _switch(self, collection: Collection) -> None:
        with self._database.write() as session:
            lock_collection(session, collection.id)
            while passages := passages_without_embedding(session, collection.id, self._model, limit=BATCH):
                self._put(session, collection, passages, self._preparer.vectors(collection.id), announce=True)
            activate_generation(session, collection.id, self._model)

    def _put(
        self,
        session: Session,
        collection: Collection,
        passages: Sequence[PassageWords],
        vectors: PassageVectors,
        *,
        announce: bool,
    ) -> None:
        ids, embedded = [passage.passage_id for passage in passages], _embedded(passages)
        put_embeddings(
            session,
            collection.id,
            self._model,
            ids,
            vectors.get(session, embedded),
            [one.sha256 for one in embedded],
        )
        if announce:
            announce_embeddings(session, collection.id, ids)
        self._num_embedded += len(passages)
        self._num_reused += vectors.count_reused(embedded)


def _embedded(passages: Sequence[PassageWords]) -> list[EmbeddedPassage]:
    return [
        embedded_passage(passage.title, passage.headings, passage.text, is_repeated=passage.is_repeated)
        for passage in passages
    ]
