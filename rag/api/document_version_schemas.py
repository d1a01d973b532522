"""The versions of a document over the wire."""

from datetime import datetime

from pydantic import Field

from rag.api.paging import NEXT
from rag.api.schemas import RecordResponse, Response


class DocumentVersionResponse(RecordResponse):
    """One version of a document, without its text."""

    version: int
    title: str
    text_sha256: str
    num_chars: int = Field(description="Unicode code points.")
    created_at: datetime


class DocumentVersionListResponse(Response):
    """A page of a document's versions, the newest first."""

    versions: list[DocumentVersionResponse]
    next: str | None = Field(description=NEXT)
