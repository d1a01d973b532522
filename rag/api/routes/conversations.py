"""Conversations: questions that were asked after one another."""

from fastapi import APIRouter, Response

from rag.api.callers import From
from rag.api.conversation_schemas import (
    ConversationListResponse,
    ConversationResponse,
    ConversationSummaryResponse,
)
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.audit import audit_conversations, audit_reading
from rag.store.conversations import delete_conversation, get_conversation, list_conversations

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])


@router.get("", summary="List conversations", responses=problems(422, 503))
def list_some(
    service: Service,
    caller: From,
    *,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> ConversationListResponse:
    """List your own conversations, newest first. `POST /v1/answers` with `conversation: true` begins one."""
    with service.database.read() as session:
        before_id = read_cursor(cursor, "conversations", first=0) or None
        found = list_conversations(session, before_id=before_id, limit=limit + 1, caller=caller)
    shown, following = cut_page(found, "conversations", limit=limit, key=lambda summary: summary.id)
    audit_conversations(service.database, caller, {summary.id: summary.user_id for summary in shown})
    return ConversationListResponse(
        conversations=[ConversationSummaryResponse.from_record(summary) for summary in shown], next=following
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
