"""Questions, their answers as logged, and what people say of them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from rag.api.callers import From
from rag.api.moments import Moment
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.schemas import (
    AnswerListResponse,
    AnswerResponse,
    AnswerSummary,
    FeedbackRequest,
    FeedbackResponse,
    LoggedAnswerResponse,
)
from rag.api.search_schemas import QuestionRequest
from rag.api.service import Service
from rag.store.answer_review import list_answers
from rag.store.answers import add_feedback, get_answer

router = APIRouter(prefix="/v1/answers", tags=["answers"])


@router.post("", summary="Ask a question", responses=problems(404, 422, 503))
def ask(asked: QuestionRequest, service: Service, caller: From) -> AnswerResponse:
    """Answer a question from a collection, with exact citations, and log it.

    Where the documents do not hold the answer, `abstained` is true and `passages` are the closest that there are.
    """
    answer = service.ask(
        asked.question,
        collection=asked.collection,
        top_k=asked.top_k,
        filters=asked.filters,
        search=asked.options(),
        caller=caller,
    )
    return AnswerResponse.from_record(answer)


@router.get("", summary="List the log of answers", responses=problems(422, 503))
def list_some(
    service: Service,
    caller: From,
    *,
    collection: str | None = None,
    abstained: bool | None = None,
    min_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    max_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    rating: Annotated[Literal["-1", "1"] | None, Query(description="Of the last feedback.")] = None,
    since: Annotated[Moment | None, Query(description="Inclusive; UTC where it names no zone.")] = None,
    until: Annotated[Moment | None, Query(description="Exclusive.")] = None,
    contains: Annotated[str | None, Query(description="Words in the question or the answer.")] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> AnswerListResponse:
    """List the log, newest first: the rows of the SQL view answer_review."""
    with service.database.read() as session:
        # One more than is shown tells whether there is a next page.
        rows = list_answers(
            session,
            collection=collection,
            abstained=abstained,
            min_confidence=min_confidence,
            max_confidence=max_confidence,
            rating=None if rating is None else int(rating),
            since=since,
            until=until,
            contains=contains,
            before_id=read_cursor(cursor, "answers", first=0) or None,
            limit=limit + 1,
            caller=caller,
        )
    shown, following = cut_page(rows, "answers", limit=limit, key=lambda row: row.answer_id)
    return AnswerListResponse(answers=[AnswerSummary.from_record(row) for row in shown], next=following)


@router.get("/{answer_id}", summary="Show a logged answer", responses=problems(404, 422, 503))
def show(answer_id: int, service: Service, caller: From) -> LoggedAnswerResponse:
    """Show everything that was logged of an answer, with the feedback since."""
    with service.database.read() as session:
        logged = get_answer(session, answer_id, caller=caller)
    return LoggedAnswerResponse.from_record(logged)


@router.post("/{answer_id}/feedback", summary="Rate an answer", status_code=201, responses=problems(404, 422, 503))
def rate(answer_id: int, given: FeedbackRequest, service: Service, caller: From) -> FeedbackResponse:
    """Say whether an answer was good, and what it should have said. The last word on an answer counts."""
    with service.database.write() as session:
        feedback_id = add_feedback(
            session,
            answer_id,
            rating=given.rating,
            comment=given.comment,
            corrected_answer=given.corrected_answer,
            user_id=given.user_id,
            caller=caller,
        )
        logged = get_answer(session, answer_id, caller=caller)
    return FeedbackResponse.from_record(next(stored for stored in logged.feedback if stored.id == feedback_id))
