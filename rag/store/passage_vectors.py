"""Vectors that are there already, found by the hash of the text that they were made of: each text is embedded once.

They are looked for in one collection only. A model's name may be a folder, and what lies in it may have been trained
further since another collection was embedded.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import CTE, ScalarSelect, Select, SQLColumnExpression, bindparam, select, union_all
from sqlalchemy.orm import Session

from rag.store import tables
from rag.store.database import insert_if_absent
from rag.store.passages import VECTOR_DTYPE

LOT_SIZES = (4, 32, 256)
"""Hashes looked up in one statement; SQLite takes up to 500 of such rows."""
MAX_HASHES = LOT_SIZES[-1]
TEXT = tables.Passage.text_sha256.type


def stored_vectors(
    session: Session, collection_id: int, embedding_model: str, embedded_sha256s: Collection[str]
) -> dict[str, NDArray[np.float16]]:
    """The vectors (dimension) of texts of those hashes under one model, as far as the collection has them.

    Of several passages with the same text the oldest gives its vector; so do the words of repeated passages.
    """
    found: dict[str, NDArray[np.float16]] = {}
    for hashes, parameters in hash_parameters(embedded_sha256s):
        shared = select(tables.SharedVector.embedded_sha256, tables.SharedVector.vector).where(
            tables.SharedVector.collection_id == collection_id,
            tables.SharedVector.embedding_model == embedding_model,
            tables.SharedVector.embedded_sha256.in_(hashes),
        )
        more = {"collection_id": collection_id, "embedding_model": embedding_model}
        of_passages = session.execute(_oldest_vectors(len(parameters)), {**parameters, **more})
        for sha256, stored in [*session.execute(shared), *of_passages]:
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


def hash_parameters(hashes: Collection[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Hashes in lots, each with what to bind in a statement over ``wanted_hashes`` of as many.

    There are few sizes, so that few statements are ever built; the rest is filled up with what no hash equals.
    """
    ordered = sorted(hashes)
    for start in range(0, len(ordered), MAX_HASHES):
        lot = ordered[start : start + MAX_HASHES]
        size = next(size for size in LOT_SIZES if size >= len(lot))
        filled = [*lot, *[""] * (size - len(lot))]
        yield lot, {f"sha256_{number}": sha256 for number, sha256 in enumerate(filled)}


def wanted_hashes(size: int) -> CTE:
    """A table of one column, ``sha256``, with the hashes that are bound: each can be looked up by itself."""
    rows = [select(bindparam(f"sha256_{number}", type_=TEXT).label("sha256")) for number in range(size)]
    return (union_all(*rows) if size > 1 else rows[0]).cte("wanted")


@cache
def _oldest_vectors(size: int) -> Select[str, bytes | None]:
    """Made once: it takes longer to build than to run."""
    wanted = wanted_hashes(size)
    # One row for each hash: of a footer there may be ten thousand vectors.
    vector = (
        select(tables.PassageEmbedding.vector)
        .where(
            tables.PassageEmbedding.embedded_sha256 == wanted.c.sha256,
            tables.PassageEmbedding.embedding_model == bindparam("embedding_model"),
            _collection_of(tables.PassageEmbedding.passage_id) == bindparam("collection_id"),
        )
        .order_by(tables.PassageEmbedding.passage_id)
        .limit(1)
        .correlate(wanted)
        .scalar_subquery()
    )
    return select(wanted.c.sha256, vector)


def _vector(stored: bytes) -> NDArray[np.float16]:
    return np.frombuffer(stored, dtype=VECTOR_DTYPE).astype(np.float16, copy=False)


def _collection_of(passage_id: SQLColumnExpression[int]) -> ScalarSelect[int]:
    return (
        select(tables.Document.collection_id)
        .join(tables.Passage, tables.Passage.document_id == tables.Document.id)
        .where(tables.Passage.id == passage_id)
        .scalar_subquery()
    )
