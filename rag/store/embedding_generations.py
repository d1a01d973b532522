"""Generations of embeddings: a collection's passages under one embedding model, one generation of them searched.

A new generation is embedded beside the one that answers, then takes its place in one transaction. Generations are never
searched together: the vectors of two models have nothing to do with each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.store import tables
from rag.store.database import insert_if_absent
from rag.store.id_batches import id_batches
from rag.store.index_changes import append_changes, count_change, lock_collection
from rag.store.passage_words import PassageWords, list_words
from rag.store.passages import VECTOR_DTYPE

GenerationStatus = Literal["building", "active", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A collection's passages under one embedding model.

    ``building``: being embedded. ``active``: what is searched. ``kept``: was searched once; passages that came since
    are not in it. ``num_embedded`` of the collection's ``num_passages`` have vectors of this model.
    """

    embedding_model: str
    status: GenerationStatus
    num_embedded: int
    num_passages: int
    created_at: datetime
    activated_at: datetime | None


def list_generations(session: Session, collection_id: int) -> list[Generation]:
    """The generations of a collection, oldest first."""
    num_passages = session.scalar(select(func.count()).select_from(_passages(collection_id).subquery())) or 0
    rows = session.scalars(
        select(tables.EmbeddingGeneration)
        .where(tables.EmbeddingGeneration.collection_id == collection_id)
        .order_by(tables.EmbeddingGeneration.created_at, tables.EmbeddingGeneration.embedding_model)
    )
    return [
        Generation(
            embedding_model=row.embedding_model,
            status=_status(row.status),
            num_embedded=num_passages - num_without_embedding(session, collection_id, row.embedding_model),
            num_passages=num_passages,
            created_at=row.created_at,
            activated_at=row.activated_at,
        )
        for row in rows
    ]


def begin_generation(session: Session, collection_id: int, embedding_model: str) -> None:
    """Note that a generation is being embedded; one that is there already goes on.

    Raises:
        InvalidInput: it is the one that is searched.
    """
    lock_collection(session, collection_id)
    if active_model(session, collection_id) == embedding_model:
        raise InvalidInput(f"The collection is embedded with {embedding_model!r} already; name another model.")
    put_generation(session, collection_id, embedding_model, "building")
    _set_status(session, collection_id, embedding_model, "building")


def put_generation(session: Session, collection_id: int, embedding_model: str, status: GenerationStatus) -> None:
    """Note a generation with that status, unless it is there already."""
    now = datetime.now(UTC)
    insert_if_absent(
        session,
        tables.EmbeddingGeneration,
        {
            "collection_id": collection_id,
            "embedding_model": embedding_model,
            "status": status,
            "created_at": now,
            "activated_at": now if status == "active" else None,
        },
    )


def active_model(session: Session, collection_id: int) -> str:
    """The embedding model of the generation that is searched.

    Raises:
        NotFound: there is no such collection.
    """
    model = session.scalar(select(tables.Collection.embedding_model).where(tables.Collection.id == collection_id))
    if model is None:
        raise NotFound(f"There is no collection with id {collection_id}.")
    return model


def num_without_embedding(session: Session, collection_id: int, embedding_model: str) -> int:
    """How many passages of the collection have no vector of that model."""
    return session.scalar(select(func.count()).select_from(_missing(collection_id, embedding_model).subquery())) or 0


def passages_without_embedding(
    session: Session, collection_id: int, embedding_model: str, *, after_id: int = 0, limit: int
) -> list[PassageWords]:
    """The next passages, by id, that have no vector of that model."""
    ids = _missing(collection_id, embedding_model).where(tables.Passage.id > after_id)
    return list_words(session, tables.Passage.id.in_(ids.order_by(tables.Passage.id).limit(limit)))


def put_embeddings(
    session: Session,
    collection_id: int,
    embedding_model: str,
    passage_ids: Sequence[int],
    vectors: NDArray[np.float16],
    embedded_sha256s: Sequence[str],
) -> None:
    """Store the vectors (N, D) of passages, each with the hash of the text that it was made of.

    Those of passages that are gone meanwhile are dropped.
    """
    lock_collection(session, collection_id)
    still_there: set[int] = set()
    for ids in id_batches(passage_ids):
        still_there.update(session.scalars(select(tables.Passage.id).where(tables.Passage.id.in_(ids))))
    rows = [
        {
            "passage_id": passage_id,
            "embedding_model": embedding_model,
            "vector": vector.tobytes(),
            "embedded_sha256": embedded_sha256,
        }
        for passage_id, vector, embedded_sha256 in zip(
            passage_ids, vectors.astype(VECTOR_DTYPE), embedded_sha256s, strict=True
        )
        if passage_id in still_there
    ]
    if rows:
        session.execute(insert(tables.PassageEmbedding).returning(tables.PassageEmbedding.passage_id), rows).all()


def announce_embeddings(session: Session, collection_id: int, passage_ids: Sequence[int]) -> None:
    """Tell indexes of a new generation that were opened already of passages that were embedded since."""
    append_changes(session, collection_id, "add", passage_ids)


def activate_generation(session: Session, collection_id: int, embedding_model: str) -> None:
    """Search this generation from now on; the one before is kept.

    Raises:
        InvalidInput: it was never begun, or some passages have no vector of it yet.
    """
    lock_collection(session, collection_id)
    if num_without_embedding(session, collection_id, embedding_model):
        raise InvalidInput(f"Some passages are not embedded with {embedding_model!r} yet; run `rag index reembed`.")
    _set_status(session, collection_id, active_model(session, collection_id), "kept")
    _set_status(session, collection_id, embedding_model, "active", activated_at=datetime.now(UTC))
    session.execute(
        update(tables.Collection).where(tables.Collection.id == collection_id).values(embedding_model=embedding_model)
    )
    count_change(session, collection_id)


def drop_generation(session: Session, collection_id: int, embedding_model: str) -> None:
    """Delete the vectors of a generation that is not searched.

    Raises:
        InvalidInput: it is searched.
        NotFound: there is no such generation.
    """
    lock_collection(session, collection_id)
    if active_model(session, collection_id) == embedding_model:
        raise InvalidInput(f"{embedding_model!r} is what the collection is searched by; it cannot be dropped.")
    dropped = session.scalars(
        delete(tables.EmbeddingGeneration)
        .where(
            tables.EmbeddingGeneration.collection_id == collection_id,
            tables.EmbeddingGeneration.embedding_model == embedding_model,
        )
        .returning(tables.EmbeddingGeneration.embedding_model)
    ).all()
    if not dropped:
        raise NotFound(f"The collection has no generation {embedding_model!r}; see `rag index generations`.")
    session.execute(
        delete(tables.SharedVector).where(
            tables.SharedVector.collection_id == collection_id,
            tables.SharedVector.embedding_model == embedding_model,
        )
    )
    of_collection = (
        select(tables.Passage.id)
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(tables.Document.collection_id == collection_id)
    )
    session.execute(
        delete(tables.PassageEmbedding).where(
            tables.PassageEmbedding.embedding_model == embedding_model,
            tables.PassageEmbedding.passage_id.in_(of_collection),
        )
    )


def _passages(collection_id: int) -> Select[int]:
    return (
        select(tables.Passage.id)
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(tables.Document.collection_id == collection_id, tables.Document.deleted_at.is_(None))
    )


def _missing(collection_id: int, embedding_model: str) -> Select[int]:
    has_vector = exists().where(
        tables.PassageEmbedding.passage_id == tables.Passage.id,
        tables.PassageEmbedding.embedding_model == embedding_model,
    )
    return _passages(collection_id).where(~has_vector)


def _set_status(
    session: Session,
    collection_id: int,
    embedding_model: str,
    status: GenerationStatus,
    *,
    activated_at: datetime | None = None,
) -> None:
    values = {"status": status} if activated_at is None else {"status": status, "activated_at": activated_at}
    changed = session.scalars(
        update(tables.EmbeddingGeneration)
        .where(
            tables.EmbeddingGeneration.collection_id == collection_id,
            tables.EmbeddingGeneration.embedding_model == embedding_model,
        )
        .values(**values)
        .returning(tables.EmbeddingGeneration.embedding_model)
    ).all()
    if not changed:
        raise InvalidInput(f"{embedding_model!r} is no generation of the collection; run `rag index reembed`.")


def _status(value: str) -> GenerationStatus:
    return "building" if value == "building" else "active" if value == "active" else "kept"
