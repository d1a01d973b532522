"""Passages with their embeddings: what can be found now, and everything the indexes are rebuilt from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, delete, insert, select
from sqlalchemy.orm import Session

from rag.records import Passage
from rag.store import tables
from rag.store.id_batches import id_batches
from rag.store.index_changes import append_changes, lock_collection
from rag.store.passage_words import PassageWords
from rag.store.table_conventions import table_of

VECTOR_DTYPE = np.dtype("<f2")

IDS_PER_FETCH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageHashes:
    """What a passage is recognised by: the hash of its words, and that of the text that its vector was made of.

    ``is_repeated``: its words stand in many documents (``rag.store.repeated_passages``).
    """

    text_sha256: str
    embedded_sha256: str
    is_repeated: bool


class PassageRange(NamedTuple):
    """Where a passage stands in its document: the characters ``start`` to ``end``, and their page or row."""

    id: int
    start: int
    end: int
    page: int | None
    row: int | None


class EmbeddingBatch(NamedTuple):
    """Passages for the indexes, by id: the three are equally long and in the same order."""

    passage_ids: NDArray[np.int64]  # N
    vectors: NDArray[np.float16]  # N, D
    words: list[PassageWords]


def replace_passages(
    session: Session,
    document_id: int,
    collection_id: int,
    version: int,
    passages: Sequence[Passage],
    vectors: NDArray[np.float16] | None,
    embedding_model: str,
    *,
    hashes: Sequence[PassageHashes] | None = None,
    has_former: bool = True,
) -> list[int]:
    """Put these passages in the place of all that the document has; the index changes are logged in the same breath.

    ``vectors`` holds one float16 row for each passage; None stores passages without embeddings, which no vector
    search finds. Passages stored without ``hashes`` are never recognised anywhere else. Returns the new ids in the
    order of ``passages``.

    ``has_former`` is False for a document that has none: they are not looked for, and the caller holds
    :func:`rag.store.index_changes.lock_collection`.

    Raises:
        NotFound: there is no such collection.
    """
    if vectors is not None and len(vectors) != len(passages):
        raise ValueError(f"{len(passages)} passages need as many vectors, not {len(vectors)}")
    if has_former:
        remove_passages(session, document_id, collection_id)
    if not passages:
        return []
    known: Sequence[PassageHashes | None] = hashes if hashes is not None else [None] * len(passages)
    # With RETURNING SQLAlchemy puts many rows into one statement, for which the triggers of PostgreSQL then run once.
    new_ids = dict(
        session.execute(
            insert(table_of(tables.Passage)).returning(tables.Passage.ordinal, tables.Passage.id),
            [_values(passage, document_id, version, one) for passage, one in zip(passages, known, strict=True)],
        ).all()
    )
    ids = [new_ids[passage.ordinal] for passage in passages]
    if vectors is not None:
        session.execute(
            insert(table_of(tables.PassageEmbedding)).returning(tables.PassageEmbedding.passage_id),
            [
                {
                    "passage_id": passage_id,
                    "embedding_model": embedding_model,
                    "vector": vector.tobytes(),
                    "embedded_sha256": None if one is None else one.embedded_sha256,
                }
                for passage_id, vector, one in zip(ids, vectors.astype(VECTOR_DTYPE), known, strict=True)
            ],
        ).all()
    append_changes(session, collection_id, "add", ids)
    return ids


def remove_passages(session: Session, document_id: int, collection_id: int) -> list[int]:
    """Delete the document's passages with their embeddings, log the index changes, and return the old ids.

    Raises:
        NotFound: there is no such collection.
    """
    lock_collection(session, collection_id)
    ids = passage_ids_of_document(session, document_id)
    if ids:
        session.execute(delete(tables.Passage).where(tables.Passage.document_id == document_id))
        append_changes(session, collection_id, "remove", ids)
    return ids


def announce_passages_again(session: Session, document_id: int, collection_id: int) -> None:
    """Make every index read the document's passages anew, because what they are found by has changed.

    Raises:
        NotFound: there is no such collection.
    """
    lock_collection(session, collection_id)
    announce_again(session, collection_id, passage_ids_of_document(session, document_id))


def announce_again(session: Session, collection_id: int, passage_ids: Sequence[int]) -> None:
    """Make every index read these passages anew. The caller holds :func:`lock_collection`."""
    append_changes(session, collection_id, "remove", passage_ids)
    append_changes(session, collection_id, "add", passage_ids)


def passage_ids_of_document(session: Session, document_id: int) -> list[int]:
    """The ids of a document's passages, in the order of its text."""
    statement = select(tables.Passage.id).where(tables.Passage.document_id == document_id).order_by(tables.Passage.id)
    return list(session.scalars(statement))


def passage_ranges(session: Session, document_id: int, version: int) -> list[PassageRange]:
    """What searches find of one version of a document, in the order of its text; nothing but of the current one."""
    passage = tables.Passage
    statement = (
        select(passage.id, passage.start_char, passage.end_char, passage.page, passage.row)
        .where(passage.document_id == document_id, passage.document_version == version)
        .order_by(passage.ordinal)
    )
    return [PassageRange(*row) for row in session.execute(statement)]


def iter_embeddings(
    session: Session, collection_id: int, embedding_model: str, *, batch_size: int, after_id: int = 0
) -> Iterator[EmbeddingBatch]:
    """The passages of a collection that one model has embedded, by id, in batches: an index is rebuilt from these.

    ``after_id`` continues after a passage. Ask for ``last_change_id`` before, in the same ``Database.read`` block, and
    the batches are exactly what the changes up to that one come to.
    """
    while True:
        statement = _embeddings_after(after_id, collection_id, embedding_model)
        batch = _fetch(session, statement.limit(batch_size))
        if not batch.words:
            return
        yield batch
        after_id = batch.words[-1].passage_id


def embedded_passage_ids(
    session: Session, collection_id: int, embedding_model: str, *, after_id: int, limit: int
) -> NDArray[np.int64]:
    """The ids of the passages that :func:`iter_embeddings` would go on with after a passage, ascending."""
    statement = _embeddings_after(after_id, collection_id, embedding_model).with_only_columns(tables.Passage.id)
    return np.fromiter(session.scalars(statement.limit(limit)), dtype=np.int64)


def embeddings_of(session: Session, passage_ids: Sequence[int], embedding_model: str) -> EmbeddingBatch:
    """The passages of those ids that one model has embedded, by id. Ids that are gone are left out."""
    batches = [
        _fetch(session, _embeddings(embedding_model).where(tables.Passage.id.in_(ids)))
        for ids in id_batches(sorted(passage_ids))
    ]
    filled = [batch for batch in batches if batch.words]
    if not filled:
        return _batch([], [], [])
    return EmbeddingBatch(
        passage_ids=np.concatenate([batch.passage_ids for batch in filled]),
        vectors=np.concatenate([batch.vectors for batch in filled]),
        words=[words for batch in filled for words in batch.words],
    )


def _embeddings(embedding_model: str) -> Select[int, int, str, list[str], str, bytes]:
    return (
        select(
            tables.Passage.id,
            tables.Passage.document_id,
            tables.Document.title,
            tables.Passage.headings,
            tables.Passage.text,
            tables.PassageEmbedding.vector,
        )
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .join(tables.PassageEmbedding, tables.PassageEmbedding.passage_id == tables.Passage.id)
        .where(tables.PassageEmbedding.embedding_model == embedding_model)
        .order_by(tables.Passage.id)
    )


def _embeddings_after(
    after_id: int, collection_id: int, embedding_model: str
) -> Select[int, int, str, list[str], str, bytes]:
    return _embeddings(embedding_model).where(
        tables.Document.collection_id == collection_id,
        tables.Document.deleted_at.is_(None),
        tables.Passage.id > after_id,
    )


def _fetch(session: Session, statement: Select[int, int, str, list[str], str, bytes]) -> EmbeddingBatch:
    ids: list[int] = []
    vectors: list[bytes] = []
    words: list[PassageWords] = []
    for passage_id, document_id, title, headings, text, vector in session.execute(statement):
        ids.append(passage_id)
        vectors.append(vector)
        words.append(
            PassageWords(
                passage_id=passage_id, document_id=document_id, title=title, headings=tuple(headings), text=text
            )
        )
    return _batch(ids, vectors, words)


def _batch(ids: list[int], vectors: list[bytes], words: list[PassageWords]) -> EmbeddingBatch:
    joined = np.frombuffer(b"".join(vectors), dtype=VECTOR_DTYPE)
    return EmbeddingBatch(
        passage_ids=np.array(ids, dtype=np.int64),
        vectors=joined.reshape(len(ids), joined.size // max(1, len(ids))).astype(np.float16, copy=False),
        words=words,
    )


def _values(passage: Passage, document_id: int, version: int, hashes: PassageHashes | None) -> dict[str, object]:
    return {
        "document_id": document_id,
        "document_version": version,
        "ordinal": passage.ordinal,
        "start_char": passage.start,
        "end_char": passage.end,
        "text": passage.text,
        "page": passage.page,
        "row": passage.row,
        "headings": list(passage.headings),
        "num_tokens": passage.num_tokens,
        "text_sha256": None if hashes is None else hashes.text_sha256,
        "is_repeated": hashes is not None and hashes.is_repeated,
    }
