"""Which documents a file has given so far. Streamed, since one file or query may give millions."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from rag.store import tables

_ROWS_PER_FETCH = 1_000


def sources_of_file(session: Session, collection_id: int, file: str) -> Iterator[tuple[int, str]]:
    """The ids and sources of the documents that were read from a file and are not deleted, by id."""
    statement = (
        select(tables.Document.id, tables.Document.source)
        .where(
            tables.Document.collection_id == collection_id,
            tables.Document.file == file,
            tables.Document.deleted_at.is_(None),
        )
        .order_by(tables.Document.id)
        .execution_options(yield_per=_ROWS_PER_FETCH)
    )
    for row in session.execute(statement):
        yield row.id, row.source
