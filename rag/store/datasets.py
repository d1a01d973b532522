"""Datasets: named, immutable versions of what a collection held.

There is no function that changes one, and the database refuses it too (``rag.store.dataset_tables``). The one way in
which a document leaves a dataset is that it is erased, for a person's right to be forgotten (``rag.store.erasure``):
that leaves an entry which says so.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, not_, or_, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import OWNER, Caller, Origin
from rag.store.access import collections_open_to
from rag.store.audit import put_audit_event
from rag.store.database import Database
from rag.store.dataset_tables import Dataset as DatasetRow
from rag.store.dataset_tables import DatasetDocument as DatasetDocumentRow
from rag.store.dataset_tables import DatasetDraft, DatasetErasure
from rag.store.index_changes import last_change_id, lock_collection
from rag.store.table_conventions import table_of
from rag.store.tables import Collection, Document

ROWS_PER_BATCH = 5_000
"""Documents that one transaction adds to a dataset, or takes from one that was broken off."""
_DRAFTS = select(DatasetDraft.dataset_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A named version of a collection.

    ``sha256`` is that of all its documents: for each, in the order of their sources' code points, the source, a NUL
    character, the ``text_sha256`` and a NUL character. ``num_erased`` documents have been erased from it since, and are
    still counted by the other numbers.
    """

    id: int
    collection: str
    name: str
    note: str | None
    index_change_id: int
    num_documents: int
    num_real: int
    num_synthetic: int
    num_erased: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDocument:
    """A document of a dataset, as it stood then."""

    document_id: int
    document_version: int
    source: str
    text_sha256: str
    origin: Origin


def create_dataset(
    database: Database, collection_id: int, *, name: str, note: str | None = None, caller: Caller = OWNER
) -> Dataset:
    """Keep what a collection holds now, under a name.

    All documents are those of one moment, but they are written in batches, so that other writers wait for one of these
    at most; nobody sees the dataset before the last is written. One at a time is created in a collection.

    Raises:
        InvalidInput: the name is blank, has blanks at its ends, or is taken in this collection.
        NotFound: there is no such collection.
    """
    if not name or name != name.strip():
        raise InvalidInput("A dataset needs a name that neither begins nor ends with a blank.")
    with database.exclusive(lock_of_datasets(collection_id)):
        remove_drafts(database, collection_id)
        with database.read() as snapshot:
            dataset_id = _begin_draft(database, snapshot, collection_id, name=name, note=note)
            content = _write_documents(database, snapshot, dataset_id, collection_id)
        with database.write() as session:
            session.execute(update(DatasetRow).where(DatasetRow.id == dataset_id).values(**content))
            session.execute(delete(DatasetDraft).where(DatasetDraft.dataset_id == dataset_id))
            put_audit_event(session, caller, "dataset.create", target=dataset_id)
            return get_dataset(session, dataset_id)


def lock_of_datasets(collection_id: int) -> str:
    """What to hold with ``Database.exclusive`` so that no dataset of the collection is being created meanwhile."""
    return f"datasets-{collection_id}"


def remove_drafts(database: Database, collection_id: int) -> None:
    """Delete what was left of datasets whose creation was broken off. The caller holds :func:`lock_of_datasets`."""
    drafts = select(DatasetRow.id).where(DatasetRow.collection_id == collection_id, DatasetRow.id.in_(_DRAFTS))
    with database.read() as session:
        dataset_ids = session.scalars(drafts).all()
    document = DatasetDocumentRow
    for dataset_id in dataset_ids:
        batch = select(document.source).where(document.dataset_id == dataset_id).limit(ROWS_PER_BATCH)
        is_empty = False
        while not is_empty:
            with database.write() as session:
                some = delete(document).where(document.dataset_id == dataset_id, document.source.in_(batch))
                is_empty = not session.scalars(some.returning(document.document_id)).all()
        with database.write() as session:
            session.execute(delete(DatasetRow).where(DatasetRow.id == dataset_id))


def get_dataset(session: Session, dataset_id: int, *, caller: Caller = OWNER) -> Dataset:
    """The dataset of that id.

    Raises:
        NotFound: there is none, or ``caller`` may not know of its collection.
    """
    found = _datasets(session, DatasetRow.id == dataset_id, *collections_open_to(caller))
    if not found:
        raise NotFound(f"There is no dataset {dataset_id}.")
    return found[0]


def find_dataset(session: Session, collection_id: int, name: str) -> Dataset:
    """The dataset of that name in a collection.

    Raises:
        NotFound: there is none; the message names those that there are.
    """
    found = _datasets(session, DatasetRow.collection_id == collection_id, DatasetRow.name == name)
    if not found:
        names = [dataset.name for dataset in _datasets(session, DatasetRow.collection_id == collection_id)]
        existing = f"there are: {', '.join(names)}" if names else "it has none"
        raise NotFound(f"This collection has no dataset {name!r}; {existing}.")
    return found[0]


def list_datasets(
    session: Session,
    *,
    collection_id: int | None = None,
    after_id: int = 0,
    limit: int | None = None,
    caller: Caller = OWNER,
) -> list[Dataset]:
    """Datasets that ``caller`` may know of, oldest first; of one collection if given.

    ``after_id`` continues after a page; None as ``limit``: all of them.
    """
    wanted = [DatasetRow.id > after_id, *collections_open_to(caller)]
    if collection_id is not None:
        wanted.append(DatasetRow.collection_id == collection_id)
    return _datasets(session, *wanted, limit=limit)


def list_dataset_documents(
    session: Session, dataset_id: int, *, after_source: str = "", limit: int = 100
) -> list[DatasetDocument]:
    """The documents of a dataset by source; ``after_source`` continues after a page.

    Raises:
        InvalidInput: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    row = DatasetDocumentRow
    statement = (
        select(row.document_id, row.document_version, row.source, row.text_sha256, row.origin)
        .where(row.dataset_id == dataset_id, row.source > after_source)
        .order_by(row.source)
        .limit(limit)
    )
    return [DatasetDocument(**found._mapping) for found in session.execute(statement)]


def dataset_held(session: Session, collection_id: int, *, index_change_id: int) -> int | None:
    """The newest dataset of a collection whose content is what the collection holds now, to the document; or None.

    The index change tells whether what can be found is still the same. It does not tell of exact duplicates that came
    or went, nor of a new origin: those are found among the documents touched since the dataset was created, so that a
    document touched but not changed does no harm. Tags and metadata are no part of a dataset. An older dataset need not
    be looked at: what has changed since the newest has changed since that one as well.

    Args:
        session: where to look.
        collection_id: the collection.
        index_change_id: the last index change that the asker has seen.
    """
    newest = session.execute(
        select(DatasetRow.id, DatasetRow.index_change_id, DatasetRow.created_at)
        .where(DatasetRow.collection_id == collection_id, DatasetRow.id.not_in(_DRAFTS))
        .order_by(DatasetRow.id.desc())
        .limit(1)
    ).one_or_none()
    if newest is None or newest.index_change_id != index_change_id:
        return None
    then = DatasetDocumentRow
    as_then = exists().where(
        then.dataset_id == newest.id,
        then.source == Document.source,
        then.document_version == Document.version,
        then.text_sha256 == Document.text_sha256,
        then.origin == Document.origin,
    )
    was_there = exists().where(then.dataset_id == newest.id, then.source == Document.source)
    changed = (
        select(Document.id)
        .where(
            Document.collection_id == collection_id,
            Document.updated_at >= newest.created_at,
            or_(
                and_(Document.deleted_at.is_(None), not_(as_then)),
                and_(Document.deleted_at.is_not(None), was_there),
            ),
        )
        .limit(1)
    )
    dataset_id: int = newest.id
    return dataset_id if session.scalar(changed) is None else None


def erase_from_datasets(session: Session, document_id: int, *, reason: str) -> list[int]:
    """Take a document out of every dataset, for good; returns the datasets' ids.

    What is left is an entry with the document's id and the reason, which must not name the person. The datasets keep
    their counts and their ``sha256``: they say what once was. The caller holds :func:`lock_of_datasets` and has called
    :func:`remove_drafts`, or a dataset that is being created would get the document all the same.
    """
    # Not by its source, which is found faster: it may have been another one then, when its file has moved since.
    statement = (
        select(DatasetDocumentRow.dataset_id)
        .where(DatasetDocumentRow.document_id == document_id, DatasetDocumentRow.dataset_id.not_in(_DRAFTS))
        .order_by(DatasetDocumentRow.dataset_id)
    )
    dataset_ids = list(session.scalars(statement))
    now = datetime.now(UTC)
    for dataset_id in dataset_ids:
        session.execute(
            insert(DatasetErasure),
            {"dataset_id": dataset_id, "document_id": document_id, "reason": reason, "created_at": now},
        )
        session.execute(
            delete(DatasetDocumentRow).where(
                DatasetDocumentRow.dataset_id == dataset_id, DatasetDocumentRow.document_id == document_id
            )
        )
    return dataset_ids


def _code_points(session: Session) -> ColumnElement[str]:
    """The order of the sources' code points, whatever order the database has for words."""
    if session.get_bind().dialect.name == "postgresql":
        return Document.source.collate("C")
    # SQLite would follow the index on the column, from each entry to a row elsewhere in the file. An expression makes
    # it read the table once and sort, which is faster by far when there are a million documents.
    return Document.source.concat("")


def _begin_draft(database: Database, snapshot: Session, collection_id: int, *, name: str, note: str | None) -> int:
    """Begin the snapshot and the draft of a dataset at a moment at which nobody changes the collection."""
    with database.write() as session:
        lock_collection(session, collection_id)
        if _datasets(session, DatasetRow.collection_id == collection_id, DatasetRow.name == name):
            raise InvalidInput(
                f"This collection has a dataset {name!r} already, which never changes; choose another name."
            )
        row = DatasetRow(
            collection_id=collection_id,
            name=name,
            note=note,
            index_change_id=last_change_id(snapshot, collection_id),
            num_documents=0,
            num_real=0,
            num_synthetic=0,
            sha256="",
            created_at=datetime.now(UTC),
        )
        session.add(row)
        session.flush()
        session.execute(insert(DatasetDraft), {"dataset_id": row.id})
        return row.id


def _write_documents(
    database: Database, snapshot: Session, dataset_id: int, collection_id: int
) -> Mapping[str, int | str]:
    """Write what the snapshot holds to a draft; returns what the dataset then says of it."""
    statement = (
        select(Document.source, Document.id, Document.version, Document.text_sha256, Document.origin)
        .where(Document.collection_id == collection_id, Document.deleted_at.is_(None))
        .order_by(_code_points(snapshot))  # also the order of the primary key, in which an index is filled fastest
        .execution_options(yield_per=ROWS_PER_BATCH)
    )
    sha256, counts = hashlib.sha256(), {"real": 0, "synthetic": 0}
    with snapshot.execute(statement) as found:
        for batch in found.partitions():
            rows = []
            for source, document_id, version, text_sha256, origin in batch:
                sha256.update(f"{source}\0{text_sha256}\0".encode())
                counts[origin] += 1
                rows.append(
                    {
                        "dataset_id": dataset_id,
                        "source": source,
                        "document_id": document_id,
                        "document_version": version,
                        "text_sha256": text_sha256,
                        "origin": origin,
                    }
                )
            with database.write() as session:
                # Into the table, not the class, which takes longer.
                session.execute(insert(table_of(DatasetDocumentRow)), rows)
    return {
        "num_documents": sum(counts.values()),
        **{f"num_{origin}": number for origin, number in counts.items()},
        "sha256": sha256.hexdigest(),
    }


def _datasets(session: Session, *wanted: ColumnElement[bool], limit: int | None = None) -> list[Dataset]:
    num_erased = select(func.count()).select_from(DatasetErasure).where(DatasetErasure.dataset_id == DatasetRow.id)
    statement = (
        select(
            DatasetRow.id,
            Collection.name.label("collection"),
            DatasetRow.name,
            DatasetRow.note,
            DatasetRow.index_change_id,
            DatasetRow.num_documents,
            DatasetRow.num_real,
            DatasetRow.num_synthetic,
            num_erased.scalar_subquery().label("num_erased"),
            DatasetRow.sha256,
            DatasetRow.created_at,
        )
        .join(Collection, Collection.id == DatasetRow.collection_id)
        .where(DatasetRow.id.not_in(_DRAFTS), *wanted)
        .order_by(DatasetRow.id)
        .limit(limit)
    )
    return [Dataset(**row._mapping) for row in session.execute(statement)]
