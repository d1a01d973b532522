"""Conversations: questions that were asked after one another."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from rag.api.callers import From
from rag.api.conversation_schemas import (
    ConversationListResponse,
    ConversationResponse,
    ConversationSummaryResponse,
)
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.audit import audit_reading
from rag.store.conversations import delete_conversation, get_conversation, list_conversations

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])


@router.get("", summary="List conversations", responses=problems(422, 503))
def list_some(
    service: Service,
    caller: From,
    *,
    before_id: Annotated[int | None, Query(description="next_before_id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> ConversationListResponse:
    """List your own conversations, newest first. `POST /v1/answers` with `conversation: true` begins one."""
    with service.database.read() as session:
        # One more than is shown tells whether there is a next page.
        found = list_conversations(session, before_id=before_id, limit=limit + 1, caller=caller)
    shown = found[:limit]
    return ConversationListResponse(
        conversations=[ConversationSummaryResponse.from_record(summary) for summary in shown],
        next_before_id=shown[-1].id if len(found) > limit else None,
    )


@router.get("/{conversation_id}", summary="Show a conversation", responses=problems(404, 422, 503))
def show(conversation_id: int, service: Service, caller: From) -> ConversationResponse:
    """Show a conversation with its answers in order. It is open only to those to whom all its answers are."""
    with service.database.read() as session:
        found = get_conversation(session, conversation_id, caller=caller)
    audit_reading(service.database, caller, "answer.read", [answer.id for answer in found.answers])
    return ConversationResponse.from_record(found)


@router.delete(
    "/{conversation_id}", summary="Delete a conversation", status_code=204, responses=problems(404, 422, 503)
)
def delete(conversation_id: int, service: Service, caller: From) -> Response:
    """Take a conversation apart. Its answers stay in the log, each for itself."""
    with service.database.write() as session:
        delete_conversation(session, conversation_id, caller=caller)
    return Response(status_code=204)
