"""Documents and their versions. Text is only ever added: a new version stands beside the old ones."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import OWNER, Caller, Document, Metadata, Origin
from rag.store import tables
from rag.store.access import add_document_labels, checked_labels, documents_open_to, put_document_labels
from rag.store.document_attributes import add_attributes, put_attributes
from rag.store.document_records import DocumentDetails as DocumentDetails  # who stores documents finds them here
from rag.store.document_records import DocumentText as DocumentText
from rag.store.document_records import StoredDocument as StoredDocument
from rag.store.document_sources import in_file
from rag.store.document_values import checked_origin, checked_values, section_json, stored_section
from rag.store.filters import Filters, conditions
from rag.store.index_changes import count_change, lock_collection
from rag.store.near_duplicates import put_bands, put_bands_of_stored, remove_bands
from rag.store.passages import announce_passages_again, remove_passages
from rag.store.table_conventions import table_of

# Without the signature, which is large and of interest to duplicate detection only.
_COLUMNS = [column for column in tables.Document.__table__.columns if column.name != "signature"]

# Built once: ingestion asks both of every document, and building a statement takes longer than running it.
_BY_SOURCE = select(*_COLUMNS).where(
    tables.Document.collection_id == bindparam("collection_id"), tables.Document.source == bindparam("source")
)
_BY_WORDS = (
    select(*_COLUMNS)
    .where(
        tables.Document.collection_id == bindparam("collection_id"),
        tables.Document.text_sha256 == bindparam("text_sha256"),
        tables.Document.origin == bindparam("origin"),
        tables.Document.id != bindparam("exclude_id"),
        tables.Document.duplicate_of.is_(None),
        tables.Document.deleted_at.is_(None),
    )
    .order_by(tables.Document.id)
)


def get_document(
    session: Session, document_id: int, *, version: int | None = None, caller: Caller = OWNER
) -> DocumentText:
    """A document with the text of one version, by default the current one. A deleted document is found as well.

    Raises:
        NotFound: there is no such document or version, or ``caller`` may not know of it.
    """
    stored = get_stored(session, document_id, caller=caller)
    wanted = stored.version if version is None else version
    row = session.scalar(
        select(tables.DocumentVersion).where(
            tables.DocumentVersion.document_id == document_id, tables.DocumentVersion.version == wanted
        )
    )
    if row is None and wanted == stored.version:
        raise NotFound(f"Document {document_id} has been erased.")  # see rag.store.erasure
    if row is None:
        raise NotFound(f"There is no version {wanted} of document {document_id}; the current one is {stored.version}.")
    return DocumentText(
        document=stored,
        version=row.version,
        title=row.title,
        text=row.text,
        sections=tuple(stored_section(section) for section in row.sections),
        text_sha256=row.text_sha256,
        created_at=row.created_at,
    )


def get_stored(session: Session, document_id: int, *, caller: Caller = OWNER) -> StoredDocument:
    """A document as it stands now, without its words, which may be long. A deleted document is found as well.

    Raises:
        NotFound: there is no such document, or ``caller`` may not know of it.
    """
    documents = _select(session, tables.Document.id == document_id, *documents_open_to(caller))
    if not documents:
        raise NotFound(f"There is no document {document_id}.")
    return documents[0]


def find_by_source(session: Session, collection_id: int, source: str) -> StoredDocument | None:
    """The document of that source; one with ``deleted_at`` set is found as well, for a new version to revive it."""
    row = session.execute(_BY_SOURCE, {"collection_id": collection_id, "source": source}).one_or_none()
    return None if row is None else _stored(row)


def documents_of_file(session: Session, collection_id: int, file: str) -> list[StoredDocument]:
    """The documents that were read from a file and are not deleted, by id."""
    return _select(session, *in_file(collection_id, file))


def find_identical(
    session: Session,
    collection_id: int,
    text_sha256: str,
    *,
    origin: Origin,
    access_labels: Collection[str],
    exclude_id: int | None = None,
) -> StoredDocument | None:
    """The document with the same words, the same origin and the same readers; the oldest if there are more.

    It is neither deleted nor itself a duplicate.
    """
    wanted = {
        "collection_id": collection_id,
        "text_sha256": text_sha256,
        "origin": checked_origin(origin),
        "exclude_id": exclude_id or 0,  # no document has that id
    }
    # Access labels are compared here, since PostgreSQL has no equality of JSON.
    labels = tuple(checked_labels(access_labels))
    documents = (_stored(row) for row in session.execute(_BY_WORDS, wanted))
    return next((document for document in documents if document.access_labels == labels), None)


def files_with_hash(session: Session, collection_id: int, file_sha256: str) -> list[str]:
    """The URIs of the files of that content that documents were read from, those of deleted ones left out."""
    statement = (
        select(tables.Document.file)
        .where(
            tables.Document.collection_id == collection_id,
            tables.Document.file_sha256 == file_sha256,
            tables.Document.deleted_at.is_(None),
        )
        .distinct()
        .order_by(tables.Document.file)
    )
    return list(session.scalars(statement))


def seal_file(session: Session, collection_id: int, file: str, file_sha256: str) -> None:
    """Note on the documents of a file that they are all that a file of this content holds."""
    lock_collection(session, collection_id)
    session.execute(update(tables.Document).where(*in_file(collection_id, file)).values(file_sha256=file_sha256))


def rename_file(session: Session, collection_id: int, *, former: str, present: str) -> int:
    """Give the documents of a file that was moved their new sources; returns how many there are.

    A source begins with its file's URI. One whose new source is taken already, by a deleted document say, stays.
    """
    lock_collection(session, collection_id)
    num_renamed = 0
    for document in documents_of_file(session, collection_id, former):
        source = present + document.source.removeprefix(former)
        if document.source.startswith(former) and find_by_source(session, collection_id, source) is None:
            _update(session, document.id, {"file": present, "source": source}, now=datetime.now(UTC))
            num_renamed += 1
    return num_renamed


def duplicates_of(session: Session, document_id: int) -> list[StoredDocument]:
    """The documents that are exact duplicates of this one and not deleted, by id."""
    return _select(session, tables.Document.duplicate_of == document_id, tables.Document.deleted_at.is_(None))


def list_documents(
    session: Session,
    collection_id: int,
    *,
    filters: Filters,
    caller: Caller = OWNER,
    after_id: int = 0,
    limit: int = 100,
    include_deleted: bool = False,
    exact_duplicates: bool | None = None,
    near_duplicates: bool | None = None,
    contains: str | None = None,
    newest_first: bool = False,
) -> list[StoredDocument]:
    """Documents by id that ``caller`` may see and that fulfil ``filters`` (see ``rag.store.filters``).

    ``after_id`` continues after a page; 0 begins. ``newest_first`` turns the order round.

    ``exact_duplicates`` True leaves only those that repeat another, False only the others; ``near_duplicates`` the same
    of those that nearly do. ``contains`` is looked for in title and source, upper and lower case alike (SQLite knows
    the case of ASCII letters only).

    Raises:
        InvalidInput: a filter has no name, or ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidInput("limit must be at least 1.")
    wanted = [
        tables.Document.collection_id == collection_id,
        *conditions(filters),
        *documents_open_to(caller),
    ]
    if not include_deleted:
        wanted.append(tables.Document.deleted_at.is_(None))
    repeats = ((exact_duplicates, tables.Document.duplicate_of), (near_duplicates, tables.Document.near_duplicate_of))
    wanted += [of.is_not(None) if wish else of.is_(None) for wish, of in repeats if wish is not None]
    if contains:
        names = (tables.Document.title, tables.Document.source)
        wanted.append(or_(*(name.icontains(contains, autoescape=True) for name in names)))
    if after_id or not newest_first:
        wanted.append(tables.Document.id < after_id if newest_first else tables.Document.id > after_id)
    return _select(session, *wanted, limit=limit, newest_first=newest_first)


def insert_document(session: Session, collection_id: int, document: Document, details: DocumentDetails) -> int:
    """Store a document of a new source, and return its id. Its passages come by ``replace_passages``.

    Raises:
        NotFound: there is no such collection.
        InvalidInput: a tag or a metadata value cannot be stored, or the origin is unknown.
    """
    lock_collection(session, collection_id)
    now = datetime.now(UTC)
    values = {
        "collection_id": collection_id,
        "source": document.source,
        "version": details.min_version,
        "created_at": now,
        "updated_at": now,
        **_values(document, details),
    }
    document_id = session.scalars(insert(tables.Document).returning(tables.Document.id), values).one()
    count_change(session, collection_id)
    add_attributes(session, document_id, tags=details.tags, metadata=document.metadata)
    add_document_labels(session, document_id, details.access_labels)
    _insert_version(session, document_id, details.min_version, document, text_sha256=details.text_sha256, now=now)
    if details.signature is not None and details.duplicate_of is None:
        put_bands(session, collection_id, document_id, details.signature)
    return document_id


def new_version(session: Session, document_id: int, document: Document, details: DocumentDetails) -> int:
    """Store the changed words of a document as its next version, and return the version's number.

    A deleted document lives again. The passages of the old version stay until ``replace_passages``.

    Raises:
        NotFound: there is no such document.
        InvalidInput: a tag or a metadata value cannot be stored, or the origin is unknown.
    """
    version = max(_locked(session, document_id).version + 1, details.min_version)
    now = datetime.now(UTC)
    remove_bands(session, document_id)
    _update(session, document_id, {**_values(document, details), "version": version, "deleted_at": None}, now=now)
    put_attributes(session, document_id, tags=details.tags, metadata=document.metadata)
    put_document_labels(session, document_id, details.access_labels)
    _insert_version(session, document_id, version, document, text_sha256=details.text_sha256, now=now)
    put_bands_of_stored(session, document_id)
    return version


def update_metadata(
    session: Session,
    document_id: int,
    *,
    title: str | None = None,
    tags: Mapping[str, str] | None = None,
    metadata: Metadata | None = None,
    origin: Origin | None = None,
    access_labels: Collection[str] | None = None,
    file_sha256: str | None = None,
    pipeline: str | None = None,
) -> None:
    """Change what is known about a document whose words are the same; None leaves a thing as it is.

    A new title goes into the index as well, since passages are found by it.

    Raises:
        NotFound: there is no such document.
        InvalidInput: a tag or a metadata value cannot be stored, or the origin is unknown.
    """
    stored = _locked(session, document_id)
    changed: dict[str, Any] = {
        "title": title,
        "tags": None if tags is None else checked_values(tags),
        "document_metadata": None if metadata is None else checked_values(metadata),
        "origin": None if origin is None else checked_origin(origin),
        "access_labels": None if access_labels is None else checked_labels(access_labels),
        "file_sha256": file_sha256,
        "pipeline": pipeline,
    }
    _update(
        session,
        document_id,
        {name: value for name, value in changed.items() if value is not None},
        now=datetime.now(UTC),
    )
    put_attributes(session, document_id, tags=tags, metadata=metadata)
    if access_labels is not None:
        put_document_labels(session, document_id, access_labels)
    if title is not None and title != stored.title:
        announce_passages_again(session, document_id, stored.collection_id)


def set_duplicate_of(
    session: Session, document_id: int, *, duplicate_of: int | None, near_duplicate_of: int | None
) -> None:
    """Say whose duplicate a document is; None and None make it an original.

    Raises:
        NotFound: there is no such document.
    """
    _locked(session, document_id)
    remove_bands(session, document_id)
    _update(
        session,
        document_id,
        {"duplicate_of": duplicate_of, "near_duplicate_of": near_duplicate_of},
        now=datetime.now(UTC),
    )
    put_bands_of_stored(session, document_id)


def mark_deleted(session: Session, document_id: int) -> None:
    """Take a document and its passages out of everything that is searched; its versions stay for citations.

    Exact duplicates of it are left as they are: who deletes an original makes one of ``duplicates_of`` the next one.

    Raises:
        NotFound: there is no such document.
    """
    stored = _locked(session, document_id)
    remove_passages(session, document_id, stored.collection_id)
    remove_bands(session, document_id)
    if stored.deleted_at is None:
        now = datetime.now(UTC)
        _update(session, document_id, {"deleted_at": now}, now=now)


def _locked(session: Session, document_id: int) -> StoredDocument:
    """The document as it is once no other writer can change it."""
    lock_collection(session, get_stored(session, document_id).collection_id)
    return get_stored(session, document_id)


def _select(
    session: Session, *wanted: ColumnElement[bool], limit: int | None = None, newest_first: bool = False
) -> list[StoredDocument]:
    order = tables.Document.id.desc() if newest_first else tables.Document.id
    statement = select(*_COLUMNS).where(*wanted).order_by(order).limit(limit)
    return [_stored(row) for row in session.execute(statement)]


def _stored(row: Row[Any]) -> StoredDocument:
    return StoredDocument(**{**row._mapping, "access_labels": tuple(row.access_labels)})


def _update(session: Session, document_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
    collection_id = session.scalars(
        update(tables.Document)
        .where(tables.Document.id == document_id)
        .values(**values, updated_at=now)
        .returning(tables.Document.collection_id)
    ).one()
    count_change(session, collection_id)


def _values(document: Document, details: DocumentDetails) -> dict[str, Any]:
    """The columns that a new document and a new version both set."""
    return {
        "file": document.file,
        "file_sha256": details.file_sha256,
        "title": document.title,
        "media_type": document.media_type,
        "origin": checked_origin(details.origin),
        "access_labels": checked_labels(details.access_labels),
        "tags": checked_values(details.tags),
        "document_metadata": checked_values(document.metadata),
        "text_sha256": details.text_sha256,
        "duplicate_of": details.duplicate_of,
        "near_duplicate_of": details.near_duplicate_of,
        "signature": details.signature,
        "pipeline": details.pipeline,
    }


def _insert_version(
    session: Session, document_id: int, version: int, document: Document, *, text_sha256: str, now: datetime
) -> None:
    session.execute(
        insert(table_of(tables.DocumentVersion)),
        {
            "document_id": document_id,
            "version": version,
            "title": document.title,
            "text": document.text,
            "sections": [section_json(section) for section in document.sections],
            "text_sha256": text_sha256,
            "created_at": now,
        },
    )
