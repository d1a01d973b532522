"""What people ask and the documents do not answer."""

from typing import Annotated

from fastapi import APIRouter, Query

from rag.api.callers import From
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.review_schemas import UnansweredQuestionListResponse, UnansweredQuestionResponse
from rag.api.service import Service
from rag.store.audit import audit_reading
from rag.store.unanswered import UnansweredCursor, list_unanswered

router = APIRouter(prefix="/v1/unanswered-questions", tags=["review"])

LIST = "unanswered questions"


@router.get("", summary="List what the documents do not answer", responses=problems(422, 503))
def list_some(
    service: Service,
    caller: From,
    *,
    collection: str | None = None,
    answered_since: Annotated[
        bool | None, Query(description="Whether it was answered after it last went without an answer.")
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> UnansweredQuestionListResponse:
    """List the questions that went without an answer, each once, what was asked most often first.

    Upper and lower case, blanks, and ?, ! and . at the ends make no difference.
    """
    place = read_cursor(cursor, LIST, first="")
    with service.database.read() as session:
        asked = list_unanswered(
            session,
            collection=collection,
            answered_since=answered_since,
            after=UnansweredCursor.parse(place) if place else None,
            limit=limit + 1,  # one more than is shown tells whether there is a next page
            caller=caller,
        )
    shown, following = cut_page(asked, LIST, limit=limit, key=lambda one: str(one.cursor))
    audit_reading(service.database, caller, "answer.list", [one.last_answer_id for one in shown])
    return UnansweredQuestionListResponse(
        questions=[UnansweredQuestionResponse.from_record(one) for one in shown], next=following
    )
