"""Which documents a file has given so far. Streamed or summed up, since one file or query may give millions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, cast, func, select
from sqlalchemy.orm import Session

from rag.records import Origin
from rag.store import tables
from rag.store.document_values import checked_origin

_ROWS_PER_FETCH = 1_000
_SOURCES_PER_STATEMENT = 500


def in_file(collection_id: int, file: str) -> list[ColumnElement[bool]]:
    """What a row of ``documents`` fulfils that was read from a file and is not deleted."""
    document = tables.Document
    return [document.collection_id == collection_id, document.file == file, document.deleted_at.is_(None)]


def sources_of_file(session: Session, collection_id: int, file: str) -> Iterator[tuple[int, str]]:
    """The ids and sources of the documents that were read from a file and are not deleted, by id."""
    statement = (
        select(tables.Document.id, tables.Document.source)
        .where(*in_file(collection_id, file))
        .order_by(tables.Document.id)
        .execution_options(yield_per=_ROWS_PER_FETCH)
    )
    for row in session.execute(statement):
        yield row.id, row.source


def ids_of_sources(session: Session, collection_id: int, sources: Sequence[str]) -> list[int]:
    """The ids of the documents of those sources that are there, deleted ones as well."""
    ids: list[int] = []
    for start in range(0, len(sources), _SOURCES_PER_STATEMENT):
        statement = select(tables.Document.id).where(
            tables.Document.collection_id == collection_id,
            tables.Document.source.in_(sources[start : start + _SOURCES_PER_STATEMENT]),
        )
        ids += session.scalars(statement)
    return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeDocuments:
    """Documents of one file that were read in the same way and are labelled alike."""

    num_documents: int
    file_sha256: str
    pipeline: str
    origin: Origin
    access_labels: tuple[str, ...]
    tags: Mapping[str, str]


def documents_alike(session: Session, collection_id: int, file: str) -> list[AlikeDocuments]:
    """How the documents that were read from a file and are not deleted stand: usually all alike."""
    document = tables.Document
    # As text, since PostgreSQL cannot group by JSON.
    labels, tags = cast(document.access_labels, Text), cast(document.tags, Text)
    statement = (
        select(document.file_sha256, document.pipeline, document.origin, labels, tags, func.count())
        .where(*in_file(collection_id, file))
        .group_by(document.file_sha256, document.pipeline, document.origin, labels, tags)
    )
    return [
        AlikeDocuments(
            num_documents=num_documents,
            file_sha256=file_sha256,
            pipeline=pipeline,
            origin=checked_origin(origin),
            access_labels=tuple(json.loads(access_labels)),
            tags=json.loads(tag_values),
        )
        for file_sha256, pipeline, origin, access_labels, tag_values, num_documents in session.execute(statement)
    ]
