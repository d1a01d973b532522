"""The versions of a document: which there are and when each came. Their words are for ``rag.store.documents``."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rag.records import OWNER, Caller
from rag.store import tables
from rag.store.documents import get_stored


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersionRecord:
    """One version of a document, without its words. ``num_chars`` counts Unicode code points."""

    version: int
    title: str
    text_sha256: str
    num_chars: int
    created_at: datetime


def list_versions(
    session: Session, document_id: int, *, before_version: int | None = None, limit: int = 50, caller: Caller = OWNER
) -> list[DocumentVersionRecord]:
    """The versions of a document, the newest first. ``before_version`` continues after the last one of a page.

    Raises:
        NotFound: there is no such document, or ``caller`` may not know of it.
    """
    get_stored(session, document_id, caller=caller)
    row = tables.DocumentVersion
    wanted = [row.document_id == document_id]
    if before_version is not None:
        wanted.append(row.version < before_version)
    columns = (row.version, row.title, row.text_sha256, func.length(row.text).label("num_chars"), row.created_at)
    statement = select(*columns).where(*wanted).order_by(row.version.desc()).limit(limit)
    return [DocumentVersionRecord(**found) for found in session.execute(statement).mappings()]
