"""Collections: named bodies of documents."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, bindparam, func, select
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import OWNER, Caller
from rag.store import tables
from rag.store.access import collections_open_to, documents_open_to
from rag.store.database import insert_if_absent
from rag.store.embedding_generations import put_generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A named body of documents and the model that its passages were embedded with.

    ``revision`` counts the changes of its documents: as long as it is the same, so is everything in the collection.
    """

    id: int
    name: str
    embedding_model: str
    revision: int
    created_at: datetime


_BY_NAME = select(*(getattr(tables.Collection, field.name) for field in fields(Collection))).where(
    tables.Collection.name == bindparam("name")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSize:
    """A collection with what it holds now. Exact duplicates count as documents but have no passages.

    ``num_real`` and ``num_synthetic`` documents make up ``num_documents``.
    """

    collection: Collection
    num_documents: int
    num_real: int
    num_synthetic: int
    num_passages: int


def get_collection(session: Session, name: str, *, caller: Caller = OWNER) -> Collection:
    """The collection of that name.

    Raises:
        NotFound: there is none that ``caller`` may know of; the message names those that there are for them.
    """
    found = _find(session, name, *collections_open_to(caller))
    if found is None:
        names = sorted(session.scalars(select(tables.Collection.name).where(*collections_open_to(caller))))
        existing = f"there are: {', '.join(names)}" if names else "none exists yet, ingest documents first"
        raise NotFound(f"There is no collection {name!r}; {existing}.")
    return found


def get_collection_by_id(session: Session, collection_id: int) -> Collection:
    """The collection of that id.

    Raises:
        NotFound: there is none.
    """
    row = session.get(tables.Collection, collection_id)
    if row is None:
        raise NotFound(f"There is no collection {collection_id}.")
    return _collection(row)


def get_or_create_collection(session: Session, name: str, *, embedding_model: str) -> Collection:
    """The collection of that name, made if absent. One that exists keeps its own embedding model.

    Raises:
        InvalidInput: the name is blank or has blanks at its ends.
    """
    if not name or name != name.strip():
        raise InvalidInput("A collection needs a name that neither begins nor ends with a blank.")
    found = _find(session, name)
    if found is not None:
        return found
    # Another process may make it in the meantime.
    insert_if_absent(
        session,
        tables.Collection,
        {"name": name, "embedding_model": embedding_model, "created_at": datetime.now(UTC)},
    )
    made = get_collection(session, name)
    put_generation(session, made.id, made.embedding_model, "active")
    return made


def list_collections(
    session: Session, *, caller: Caller = OWNER, after_name: str = "", limit: int | None = None
) -> list[CollectionSize]:
    """The collections that ``caller`` may know of by name, with the documents and passages that they may see.

    Deleted documents are left out. ``after_name`` continues after a page; None as ``limit``: all of them.
    """
    wanted = collections_open_to(caller)
    if limit is not None or after_name:
        # Sorted here, because databases disagree on the order of letters.
        known = session.scalars(select(tables.Collection.name).where(*wanted))
        wanted = [tables.Collection.name.in_(sorted(name for name in known if name > after_name)[:limit])]
    collection_documents = and_(
        tables.Document.collection_id == tables.Collection.id,
        tables.Document.deleted_at.is_(None),
        *documents_open_to(caller),
    )
    num_documents = select(func.count()).select_from(tables.Document).where(collection_documents)
    num_synthetic = num_documents.where(tables.Document.origin == "synthetic")
    num_passages = (
        select(func.count())
        .select_from(tables.Passage)
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(collection_documents)
    )
    statement = select(
        tables.Collection,
        num_documents.correlate(tables.Collection).scalar_subquery(),
        num_synthetic.correlate(tables.Collection).scalar_subquery(),
        num_passages.correlate(tables.Collection).scalar_subquery(),
    ).where(*wanted)
    sizes = [
        CollectionSize(
            collection=_collection(row),
            num_documents=documents,
            num_real=documents - synthetic,
            num_synthetic=synthetic,
            num_passages=passages,
        )
        for row, documents, synthetic, passages in session.execute(statement)
    ]
    return sorted(sizes, key=lambda size: size.collection.name)


def _find(session: Session, name: str, *wanted: ColumnElement[bool]) -> Collection | None:
    statement = _BY_NAME.where(*wanted) if wanted else _BY_NAME
    row = session.connection().execute(statement, {"name": name}).one_or_none()
    return None if row is None else Collection(**row._mapping)


def _collection(row: tables.Collection) -> Collection:
    return Collection(
        id=row.id,
        name=row.name,
        embedding_model=row.embedding_model,
        revision=row.revision,
        created_at=row.created_at,
    )
