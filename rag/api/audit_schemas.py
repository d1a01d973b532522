"""Audit events over the wire."""

from datetime import datetime
from typing import Any

from pydantic import Field

from rag.api.paging import NEXT
from rag.api.schemas import RecordResponse, Response


class AuditEventResponse(RecordResponse):
    """Who did what to what. ``user_id`` is null for who holds the database or needed no key."""

    id: int
    created_at: datetime
    user_id: str | None
    api_key_id: int | None
    action: str = Field(description="A noun and a verb, as key.create.")
    target: str | None = Field(description="The id of what it was done to.")
    details: dict[str, Any]
    request_id: str | None


class AuditEventListResponse(Response):
    """A page of events, newest first."""

    events: list[AuditEventResponse]
    next: str | None = Field(description=NEXT)
