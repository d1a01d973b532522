"""Vectors that are there already, found by the hash of the text that they were made of: each text is embedded once.

They are looked for in one collection only. A model's name may be a folder, and what lies in it may have been trained
further since another collection was embedded.
"""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import CTE, ScalarSelect, SQLColumnExpression, column, select, values
from sqlalchemy.orm import Session

from rag.store import tables
from rag.store.database import insert_if_absent
from rag.store.passages import IDS_PER_STATEMENT, VECTOR_DTYPE


def stored_vectors(
    session: Session, collection_id: int, embedding_model: str, embedded_sha256s: Collection[str]
) -> dict[str, NDArray[np.float16]]:
    """The vectors (dimension) of texts of those hashes under one model, as far as the collection has them.

    Of several passages with the same text the oldest gives its vector; so do the words of repeated passages.
    """
    found: dict[str, NDArray[np.float16]] = {}
    hashes = sorted(embedded_sha256s)
    for start in range(0, len(hashes), IDS_PER_STATEMENT):
        wanted = wanted_hashes(hashes[start : start + IDS_PER_STATEMENT])
        # One row for each hash, looked up by itself: of a footer there may be ten thousand vectors.
        vector = (
            select(tables.PassageEmbedding.vector)
            .where(
                tables.PassageEmbedding.embedded_sha256 == wanted.c.sha256,
                tables.PassageEmbedding.embedding_model == embedding_model,
                _collection_of(tables.PassageEmbedding.passage_id) == collection_id,
            )
            .order_by(tables.PassageEmbedding.passage_id)
            .limit(1)
            .correlate(wanted)
            .scalar_subquery()
        )
        shared = select(tables.SharedVector.embedded_sha256, tables.SharedVector.vector).where(
            tables.SharedVector.collection_id == collection_id,
            tables.SharedVector.embedding_model == embedding_model,
            tables.SharedVector.embedded_sha256.in_(hashes[start : start + IDS_PER_STATEMENT]),
        )
        for sha256, stored in [*session.execute(shared), *session.execute(select(wanted.c.sha256, vector))]:
            if stored is not None:
                found.setdefault(sha256, _vector(stored))
    return found


def put_shared_vectors(
    session: Session, collection_id: int, embedding_model: str, vectors: Mapping[str, NDArray[np.float16]]
) -> None:
    """Keep the vectors (dimension) of the words of repeated passages, by the hash of what was embedded."""
    for sha256, vector in vectors.items():
        insert_if_absent(
            session,
            tables.SharedVector,
            {
                "collection_id": collection_id,
                "embedding_model": embedding_model,
                "embedded_sha256": sha256,
                "vector": vector.astype(VECTOR_DTYPE).tobytes(),
            },
        )


def vectors_of_document(session: Session, document_id: int, embedding_model: str) -> dict[str, NDArray[np.float16]]:
    """The vectors (dimension) of a document's passages under one model, by the hash of what was embedded."""
    statement = (
        select(tables.PassageEmbedding.embedded_sha256, tables.PassageEmbedding.vector)
        .join(tables.Passage, tables.Passage.id == tables.PassageEmbedding.passage_id)
        .where(
            tables.Passage.document_id == document_id,
            tables.PassageEmbedding.embedding_model == embedding_model,
        )
    )
    return {sha256: _vector(stored) for sha256, stored in session.execute(statement) if sha256 is not None}


def wanted_hashes(hashes: Collection[str]) -> CTE:
    """A table of one column, ``sha256``, to look hashes up from."""
    table = values(column("sha256", tables.Passage.text_sha256.type), name="wanted")
    return table.data([(sha256,) for sha256 in hashes]).cte("wanted")


def _vector(stored: bytes) -> NDArray[np.float16]:
    return np.frombuffer(stored, dtype=VECTOR_DTYPE).astype(np.float16, copy=False)


def _collection_of(passage_id: SQLColumnExpression[int]) -> ScalarSelect[int]:
    return (
        select(tables.Document.collection_id)
        .join(tables.Passage, tables.Passage.document_id == tables.Document.id)
        .where(tables.Passage.id == passage_id)
        .scalar_subquery()
    )
