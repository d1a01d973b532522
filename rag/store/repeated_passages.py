"""Repeated passages: words that stand in many documents of a collection, such as legal footers and notices.

A passage is repeated when it has at least ``MIN_TOKENS`` tokens, is no row of a table, and its words stand in at least
``MIN_DOCUMENTS`` documents. The mark is set on all of them by whoever stores the last one needed, and stays until a
passage goes: what is left of a footer when its documents are deleted is still a footer. Words are compared by the hash
of their normalised form, ``passages.text_sha256``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, bindparam, case, delete, exists, func, select, update
from sqlalchemy.orm import Session

from rag.records import OWNER, Caller, Passage
from rag.store import tables
from rag.store.access import documents_open_to
from rag.store.id_batches import id_batches
from rag.store.index_changes import lock_collection
from rag.store.passage_vectors import hash_parameters, wanted_hashes
from rag.store.passage_words import PassageWords, list_words
from rag.store.passages import VECTOR_DTYPE, announce_again

MIN_DOCUMENTS = 5
"""Fewer are mostly copies or versions of one document, whose titles tell them apart."""
MIN_TOKENS = 30
"""A sentence or two. What is shorter, a total or a name, says something only together with where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedPassage:
    """Words that stand in ``num_documents`` documents, and the oldest passage that holds them."""

    text_sha256: str
    text: str
    num_documents: int
    num_passages: int
    document_id: int
    source: str


def may_repeat(passage: Passage) -> bool:
    """Whether a passage can be a repeated one at all; a row of a table means what its table is about."""
    return passage.row is None and passage.num_tokens >= MIN_TOKENS


def count_documents(
    session: Session, collection_id: int, text_sha256s: Collection[str], *, exclude_ids: Collection[int] = ()
) -> dict[str, int]:
    """In how many documents of a collection the words of each hash stand, at most ``MIN_DOCUMENTS``.

    That many it is for words that are marked as repeated. Passages of the documents ``exclude_ids`` do not count.
    """
    found: dict[str, int] = {}
    more = {"collection_id": collection_id, "exclude_ids": sorted(exclude_ids)}
    for _, parameters in hash_parameters(text_sha256s):
        counted = session.execute(_counts(len(parameters)), {**parameters, **more}).all()
        found |= {sha256: num_documents for sha256, num_documents in counted if sha256}
    return found


def unmarked_passages(session: Session, collection_id: int, text_sha256s: Collection[str]) -> list[PassageWords]:
    """The passages of a collection with the words of those hashes that are not marked as repeated yet, by id."""
    return [
        replace(words, is_repeated=True)
        for words in list_words(
            session,
            tables.Passage.text_sha256.in_(sorted(text_sha256s)),
            ~tables.Passage.is_repeated,
            _CAN_REPEAT,
            _in_collection(collection_id),
        )
    ]


def mark_repeated(
    session: Session,
    collection_id: int,
    embedding_model: str,
    passage_ids: Sequence[int],
    vectors: NDArray[np.float16],
    embedded_sha256s: Sequence[str],
) -> None:
    """Mark passages, and put the vectors (N, D) that repeated passages have in the place of theirs.

    Vectors of other models go: a generation that is being built, or is wanted again, embeds them anew.
    """
    if not passage_ids:
        return
    lock_collection(session, collection_id)
    for ids in id_batches(passage_ids):
        session.execute(update(tables.Passage).where(tables.Passage.id.in_(ids)).values(is_repeated=True))
        session.execute(
            delete(tables.PassageEmbedding).where(
                tables.PassageEmbedding.passage_id.in_(ids), tables.PassageEmbedding.embedding_model != embedding_model
            )
        )
    put = (
        update(tables.PassageEmbedding)
        .where(
            tables.PassageEmbedding.passage_id == bindparam("of_passage"),
            tables.PassageEmbedding.embedding_model == embedding_model,
        )
        .values(vector=bindparam("new_vector"), embedded_sha256=bindparam("new_sha256"))
    )
    session.connection().execute(
        put,
        [
            {"of_passage": passage_id, "new_vector": vector.tobytes(), "new_sha256": sha256}
            for passage_id, vector, sha256 in zip(
                passage_ids, vectors.astype(VECTOR_DTYPE), embedded_sha256s, strict=True
            )
        ],
    )
    announce_again(session, collection_id, passage_ids)


def repeated_passage_ids(session: Session, collection_id: int, text_sha256s: Collection[str]) -> set[int]:
    """The ids of all passages of a collection that are marked and have the words of one of those hashes."""
    statement = select(tables.Passage.id).where(
        tables.Passage.text_sha256.in_(sorted(text_sha256s)),
        tables.Passage.is_repeated,
        _in_collection(collection_id),
    )
    return set(session.scalars(statement))


def list_repeated(
    session: Session, collection_id: int, *, caller: Caller = OWNER, limit: int = 100
) -> list[RepeatedPassage]:
    """The repeated passages of a collection, those in the most documents first.

    Documents that ``caller`` may not know of are neither named nor counted.
    """
    num_documents = func.count(tables.Passage.document_id.distinct()).label("num_documents")
    groups = (
        select(
            tables.Passage.text_sha256,
            num_documents,
            func.count().label("num_passages"),
            func.min(tables.Passage.id).label("passage_id"),
        )
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(tables.Passage.is_repeated, tables.Document.collection_id == collection_id, *documents_open_to(caller))
        .group_by(tables.Passage.text_sha256)
        .order_by(num_documents.desc(), func.min(tables.Passage.id))
        .limit(limit)
        .subquery()
    )
    statement = (
        select(groups, tables.Passage.text, tables.Document.id.label("document_id"), tables.Document.source)
        .join(tables.Passage, tables.Passage.id == groups.c.passage_id)
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .order_by(groups.c.num_documents.desc(), groups.c.passage_id)
    )
    return [
        RepeatedPassage(
            text_sha256=row.text_sha256,
            text=row.text,
            num_documents=row.num_documents,
            num_passages=row.num_passages,
            document_id=row.document_id,
            source=row.source,
        )
        for row in session.execute(statement)
    ]


_CAN_REPEAT: ColumnElement[bool] = (tables.Passage.row.is_(None)) & (tables.Passage.num_tokens >= MIN_TOKENS)


def _in_collection(collection_id: int) -> ColumnElement[bool]:
    # Asked of each passage by itself, so that both databases begin with the hash and not with all documents.
    of_document = select(tables.Document.collection_id).where(tables.Document.id == tables.Passage.document_id)
    return of_document.correlate(tables.Passage).scalar_subquery() == collection_id


@cache
def _counts(size: int) -> Select[str, int]:
    """Made once: it takes longer to build than to run."""
    wanted = wanted_hashes(size)
    of_document = select(tables.Document.collection_id).where(tables.Document.id == tables.Passage.document_id)
    among = [
        tables.Passage.text_sha256 == wanted.c.sha256,
        tables.Passage.document_id.not_in(bindparam("exclude_ids", expanding=True)),
        of_document.correlate(tables.Passage).scalar_subquery() == bindparam("collection_id"),
    ]
    marked = exists(select(tables.Passage.id).where(*among, tables.Passage.is_repeated).correlate(wanted))
    # Never more rows than needed to know: of words without a mark there are few, of marked ones one is enough.
    documents = (
        select(tables.Passage.document_id)
        .where(*among, _CAN_REPEAT, ~tables.Passage.is_repeated)
        .distinct()
        .limit(MIN_DOCUMENTS)
        .correlate(wanted)
        .subquery()
    )
    num_documents = select(func.count()).select_from(documents).scalar_subquery()
    return select(wanted.c.sha256, case((marked, MIN_DOCUMENTS), else_=num_documents))
