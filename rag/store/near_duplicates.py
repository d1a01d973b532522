"""Which documents may nearly repeat a text: locality-sensitive hashing over MinHash signatures, kept in SQL.

A signature is cut into bands, and documents that agree in a whole band are candidates (Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3). The rows of a document are written in the transaction that writes the
document, so nothing has to be loaded before a run, and two runs at once see each other's documents. Knows nothing of
words: whether a candidate really is a near duplicate is decided in ``rag.ingest``.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select, union_all
from sqlalchemy.orm import Session

from rag.store.table_conventions import table_of
from rag.store.tables import Document, DocumentVersion, NearDuplicateBand

NUM_BANDS = 21
"""Documents of Jaccard similarity s share a band with probability 1 - (1 - s^6)^21: .998 at .8, .63 at .6, .001 at .2.
"""
ROWS_PER_BAND = 6
BYTES_PER_ROW = 4
MAX_PER_BAND = 500
"""A band that more documents share proposes those with the lowest ids only, so that no text makes a search long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A document that may be nearly repeated, with its signature and the document that itself nearly repeats."""

    document_id: int
    near_duplicate_of: int | None
    signature: bytes


def band_hashes(signature: bytes) -> list[int]:
    """A signed 64-bit number for each band of a signature; its place counts, values left over at the end do not."""
    size = ROWS_PER_BAND * BYTES_PER_ROW
    return [
        int.from_bytes(
            hashlib.blake2b(
                signature[band * size : (band + 1) * size], digest_size=8, salt=band.to_bytes(2, "little")
            ).digest(),
            "little",
            signed=True,
        )
        for band in range(NUM_BANDS)
    ]


def put_bands(session: Session, collection_id: int, document_id: int, signature: bytes) -> None:
    """Let later documents find this one.

    The caller holds :func:`rag.store.index_changes.lock_collection`, here and in the other functions that write.
    """
    rows = [
        {"collection_id": collection_id, "band_hash": band_hash, "document_id": document_id}
        for band_hash in band_hashes(signature)
    ]
    session.execute(insert(table_of(NearDuplicateBand)), rows)


def put_bands_of_stored(session: Session, document_id: int) -> None:
    """Let later documents find this one, unless it is deleted, an exact duplicate, or too short for a signature."""
    row = session.execute(
        select(Document.collection_id, Document.signature).where(Document.id == document_id, *_CAN_BE_REPEATED)
    ).one_or_none()
    if row is not None and row.signature is not None:
        put_bands(session, row.collection_id, document_id, row.signature)


def remove_bands(session: Session, document_id: int) -> None:
    """Let no later document find this one. Its signature must still be the one with which it was put."""
    row = session.execute(
        select(Document.collection_id, Document.signature).where(Document.id == document_id)
    ).one_or_none()
    if row is not None and row.signature is not None:
        session.execute(
            delete(NearDuplicateBand).where(
                NearDuplicateBand.collection_id == row.collection_id,
                NearDuplicateBand.band_hash.in_(band_hashes(row.signature)),
                NearDuplicateBand.document_id == document_id,
            )
        )


def find_candidates(session: Session, collection_id: int, signature: bytes, *, limit: int) -> list[Candidate]:
    """The ``limit`` documents that share the most bands with a signature, those of the lowest ids first among equals.

    The documents that they nearly repeat follow them: who resembles a copy mostly resembles its original as well, and
    of a large group the original need not be among the first.
    """
    parameters = {f"band_{number}": band_hash for number, band_hash in enumerate(band_hashes(signature))}
    rows = session.execute(
        _sharing_bands(), {"collection_id": collection_id, "max_per_band": MAX_PER_BAND, "limit": limit, **parameters}
    )
    found = [_candidate(*row) for row in rows]
    missing = {candidate.near_duplicate_of for candidate in found if candidate.near_duplicate_of is not None}
    missing -= {candidate.document_id for candidate in found}
    if missing:
        statement = _select_candidates().where(Document.id.in_(sorted(missing)), *_CAN_BE_REPEATED)
        found += [_candidate(*row) for row in session.execute(statement.order_by(Document.id))]
    return found


def near_duplicates_of(session: Session, document_id: int) -> list[int]:
    """The ids, ascending, of the documents that are said to nearly repeat this one and are not deleted."""
    statement = (
        select(Document.id)
        .where(Document.near_duplicate_of == document_id, Document.deleted_at.is_(None))
        .order_by(Document.id)
    )
    return list(session.scalars(statement))


def leads_to(session: Session, document_id: int, end: int) -> bool:
    """Whether ``near_duplicate_of``, followed from document to document, comes to the document ``end``."""
    at: int | None = document_id
    while at is not None and at != end:
        at = session.scalar(select(Document.near_duplicate_of).where(Document.id == at))
    return at == end


def current_text(session: Session, document_id: int) -> str:
    """The words of a stored document as it stands now."""
    statement = (
        select(DocumentVersion.text)
        .join(Document, Document.id == DocumentVersion.document_id)
        .where(Document.id == document_id, DocumentVersion.version == Document.version)
    )
    return session.scalars(statement).one()


_CAN_BE_REPEATED: tuple[ColumnElement[bool], ...] = (
    Document.deleted_at.is_(None),
    Document.duplicate_of.is_(None),
    Document.signature.is_not(None),
)


def _select_candidates() -> Select[int, int | None, bytes | None]:
    return select(Document.id, Document.near_duplicate_of, Document.signature)


def _candidate(document_id: int, near_duplicate_of: int | None, signature: bytes | None) -> Candidate:
    assert signature is not None  # _CAN_BE_REPEATED says so
    return Candidate(document_id=document_id, near_duplicate_of=near_duplicate_of, signature=signature)


@cache
def _sharing_bands() -> Select[int, int | None, bytes | None]:
    """Made once: a statement of this size takes longer to build than to run."""
    band = NearDuplicateBand
    members = [
        select(band.document_id)
        .where(band.collection_id == bindparam("collection_id"), band.band_hash == bindparam(f"band_{number}"))
        .order_by(band.document_id)
        .limit(bindparam("max_per_band"))
        .subquery()
        for number in range(NUM_BANDS)
    ]
    every = union_all(*(select(member.c.document_id) for member in members)).subquery()
    num_shared = func.count().label("num_shared")
    most = (
        select(every.c.document_id, num_shared)
        .group_by(every.c.document_id)
        .order_by(num_shared.desc(), every.c.document_id)
        .limit(bindparam("limit"))
        .subquery()
    )
    return (
        _select_candidates()
        .join(most, most.c.document_id == Document.id)
        .where(*_CAN_BE_REPEATED)
        .order_by(most.c.num_shared.desc(), Document.id)
    )
