"""The audit: administrative acts, and looks at what others have asked."""

from typing import Annotated

from fastapi import APIRouter, Query

from rag.api.audit_schemas import AuditEventListResponse, AuditEventResponse
from rag.api.callers import Owner
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.audit import list_audit_events

router = APIRouter(prefix="/v1/audit-events", tags=["keys"])


@router.get("", summary="List audit events", responses=problems(422, 503))
def list_some(
    service: Service,
    caller: Owner,  # noqa: ARG001 - who may
    *,
    user_id: Annotated[str | None, Query(description="Who did it.")] = None,
    action: Annotated[str | None, Query(description="What was done, as key.create.")] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> AuditEventListResponse:
    """List what administrators did, and who looked at what others have asked, newest first."""
    with service.database.read() as session:
        before_id = read_cursor(cursor, "audit events", first=0) or None
        events = list_audit_events(session, user_id=user_id, action=action, before_id=before_id, limit=limit + 1)
    shown, following = cut_page(events, "audit events", limit=limit, key=lambda event: event.id)
    return AuditEventListResponse(events=[AuditEventResponse.from_record(event) for event in shown], next=following)
