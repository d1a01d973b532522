"""The audit: administrative acts, and looks at what others have asked."""

from typing import Annotated

from fastapi import APIRouter, Query

from rag.api.audit_schemas import AuditEventListResponse, AuditEventResponse
from rag.api.callers import Owner
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
    before_id: Annotated[int | None, Query(description="next_before_id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AuditEventListResponse:
    """List what administrators did, and who looked at what others have asked, newest first."""
    with service.database.read() as session:
        # One more than is shown tells whether there is a next page.
        events = list_audit_events(session, user_id=user_id, action=action, before_id=before_id, limit=limit + 1)
    shown = events[:limit]
    return AuditEventListResponse(
        events=[AuditEventResponse.from_record(event) for event in shown],
        next_before_id=shown[-1].id if len(events) > limit else None,
    )
