"""What has become of the documents that a logged answer was read from."""

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from rag.records import Caller
from rag.store import tables
from rag.store.access import documents_open_to
from rag.store.erasure import is_erased

SourceState = Literal["unchanged", "changed", "deleted", "erased", "closed"]
"""changed: it has another version now. closed: who asked may not see it any more."""


def source_states(
    session: Session, versions: Iterable[tuple[int, int]], *, caller: Caller
) -> dict[tuple[int, int], SourceState]:
    """The state now of document versions, given as (document id, version), with the eyes of ``caller``."""
    wanted = set(versions)
    document = tables.Document
    ids = sorted({document_id for document_id, _ in wanted})
    rows = {row.id: row for row in session.scalars(select(document).where(document.id.in_(ids)))}
    is_open = set(session.scalars(select(document.id).where(document.id.in_(ids), *documents_open_to(caller))))
    return {
        (document_id, version): _state(rows.get(document_id), version, is_open=document_id in is_open)
        for document_id, version in wanted
    }


def _state(row: tables.Document | None, version: int, *, is_open: bool) -> SourceState:
    if row is None or is_erased(row.source, row.id):
        return "erased"
    if row.deleted_at is not None:
        return "deleted"
    if not is_open:
        return "closed"
    return "unchanged" if row.version == version else "changed"
