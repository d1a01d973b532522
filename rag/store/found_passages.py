"""What a search asks of SQL: which passages it may find, and those it found with their documents.

Every search runs these statements, so they are built once where they can be, and read columns instead of objects:
SQLAlchemy takes longer to build a statement, or an object, than SQLite to find a row.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased

from rag.records import OWNER, Caller, DocumentReference, Origin
from rag.store import tables
from rag.store.access import documents_open_to
from rag.store.document_values import checked_origin
from rag.store.filters import Filters, conditions
from rag.store.id_batches import id_batches

IDS_PER_FETCH = 10_000

MatchingDocuments = Select[int]
"""A query for the ids of documents, to stand in another one."""

_DUPLICATE = aliased(tables.Document)
_HAS_DUPLICATES = exists().where(_DUPLICATE.duplicate_of == tables.Document.id, _DUPLICATE.deleted_at.is_(None))
_HITS = (
    select(
        tables.Passage.id.label("passage_id"),
        tables.Passage.document_id,
        tables.Passage.document_version,
        tables.Document.title,
        tables.Document.source,
        tables.Document.origin,
        tables.Passage.headings,
        tables.Passage.page,
        tables.Passage.row,
        tables.Passage.start_char,
        tables.Passage.end_char,
        tables.Passage.text,
        tables.Document.near_duplicate_of,
        tables.Passage.text_sha256,
        tables.Passage.is_repeated,
        _HAS_DUPLICATES.label("has_duplicates"),
    )
    .join(tables.Document, tables.Document.id == tables.Passage.document_id)
    .where(tables.Passage.id.in_(bindparam("ids", expanding=True)), tables.Document.deleted_at.is_(None))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageRow:
    """A stored passage with its document: everything that a hit shows but its scores.

    ``also_in`` lists the exact duplicates of the document, by id. ``is_repeated``: its words stand in many documents.
    """

    passage_id: int
    document_id: int
    document_version: int
    title: str
    source: str
    origin: Origin
    headings: tuple[str, ...]
    page: int | None
    row: int | None
    start: int
    end: int
    text: str
    near_duplicate_of: int | None
    also_in: tuple[DocumentReference, ...]
    text_sha256: str | None
    is_repeated: bool


def load_hits(session: Session, passage_ids: Sequence[int], *, caller: Caller = OWNER) -> dict[int, PassageRow]:
    """The passages of those ids with their documents. Ids that are gone, or not for ``caller``, are left out.

    So are other documents that they may not know of: ``near_duplicate_of`` and ``also_in`` do not name them.
    """
    found: dict[int, PassageRow] = {}
    statement = _HITS.where(*allowed) if (allowed := documents_open_to(caller)) else _HITS
    for ids in id_batches(passage_ids):
        rows = session.connection().execute(statement, {"ids": ids}).all()
        originals = sorted({row.document_id for row in rows if row.has_duplicates})
        references = _exact_duplicates(session, originals, caller) if originals else {}
        near = {row.near_duplicate_of for row in rows if row.near_duplicate_of is not None}
        known = _known_to(session, near, caller)
        # Taking a row apart at once: by the names of its columns it takes a quarter of the time of the whole function.
        for (
            passage_id,
            document_id,
            version,
            title,
            source,
            origin,
            headings,
            page,
            row_number,
            start,
            end,
            text,
            near_duplicate_of,
            text_sha256,
            is_repeated,
            _,
        ) in rows:
            found[passage_id] = PassageRow(
                passage_id=passage_id,
                document_id=document_id,
                document_version=version,
                title=title,
                source=source,
                origin=checked_origin(origin),
                headings=tuple(headings),
                page=page,
                row=row_number,
                start=start,
                end=end,
                text=text,
                near_duplicate_of=near_duplicate_of if near_duplicate_of in known else None,
                also_in=references.get(document_id, ()),
                text_sha256=text_sha256,
                is_repeated=is_repeated,
            )
    return found


def document_ids_matching(
    session: Session, collection_id: int, filters: Filters, *, caller: Caller = OWNER
) -> NDArray[np.int64]:
    """The ids of the documents whose passages a search may find: those that ``caller`` may see and ``filters`` leaves.

    An exact duplicate has no passages. Where it is one of them, so is its original, which has the same labels.

    Raises:
        InvalidInput: the filter is malformed (see ``rag.store.filters``).
    """
    statement = documents_matching(collection_id, filters, caller=caller).execution_options(yield_per=IDS_PER_FETCH)
    return np.unique(np.fromiter(session.scalars(statement), dtype=np.int64))


def documents_matching(collection_id: int, filters: Filters, *, caller: Caller = OWNER) -> MatchingDocuments:
    """The query for these ids; they may come more than once.

    Raises:
        InvalidInput: the filter is malformed (see ``rag.store.filters``).
    """
    return select(func.coalesce(tables.Document.duplicate_of, tables.Document.id)).where(
        tables.Document.collection_id == collection_id,
        tables.Document.deleted_at.is_(None),
        *conditions(filters),
        *documents_open_to(caller),
    )


def _known_to(session: Session, document_ids: Set[int], caller: Caller) -> Set[int]:
    """Those of the documents that ``caller`` may know of."""
    if caller.access_labels is None or not document_ids:
        return document_ids
    statement = select(tables.Document.id).where(
        tables.Document.id.in_(sorted(document_ids)), *documents_open_to(caller)
    )
    return set(session.scalars(statement))


def _exact_duplicates(
    session: Session, document_ids: Sequence[int], caller: Caller
) -> dict[int, tuple[DocumentReference, ...]]:
    statement = (
        select(
            tables.Document.duplicate_of,
            tables.Document.id,
            tables.Document.title,
            tables.Document.source,
            tables.Document.origin,
        )
        .where(
            tables.Document.duplicate_of.in_(document_ids),
            tables.Document.deleted_at.is_(None),
            *documents_open_to(caller),
        )
        .order_by(tables.Document.id)
    )
    found: dict[int, tuple[DocumentReference, ...]] = {}
    for original, document_id, title, source, origin in session.execute(statement):
        assert original is not None  # IN leaves NULL out
        reference = DocumentReference(
            document_id=document_id, title=title, source=source, origin=checked_origin(origin)
        )
        found[original] = (*found.get(original, ()), reference)
    return found
