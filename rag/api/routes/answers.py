"""Questions, answers and what people say of them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from rag.api.schemas import (
    AnswerListResponse,
    AnswerResponse,
    FeedbackRequest,
    FeedbackResponse,
    LoggedAnswerResponse,
    QuestionRequest,
    ReviewRowResponse,
)
from rag.api.service import Service
from rag.store.answer_review import list_answers
from rag.store.answers import add_feedback, get_answer

router = APIRouter(prefix="/v1/answers", tags=["answers"])


@router.post("")
def ask(body: QuestionRequest, service: Service) -> AnswerResponse:
    """Answer a question from the documents, with exact citations; or say that they do not hold the answer."""
    answer = service.ask(body.question, collection=body.collection, top_k=body.top_k, filters=body.filters)
    return AnswerResponse.from_record(answer)


@router.get("")
def list_some(
    service: Service,
    collection: str | None = None,
    abstained: bool | None = None,
    min_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    max_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    rating: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    contains: str | None = None,
    before_id: int | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AnswerListResponse:
    """The log, newest first: the rows of the SQL view answer_review."""
    with service.database.read() as session:
        rows = list_answers(
            session,
            collection=collection,
            abstained=abstained,
            min_confidence=min_confidence,
            max_confidence=max_confidence,
            rating=rating,
            since=since,
            until=until,
            contains=contains,
            before_id=before_id,
            limit=limit,
        )
    return AnswerListResponse(
        answers=[ReviewRowResponse.from_record(row) for row in rows],
        next_before_id=rows[-1].answer_id if len(rows) == limit else None,
    )


@router.get("/{answer_id}")
def show(answer_id: int, service: Service) -> LoggedAnswerResponse:
    """Everything that was logged of an answer."""
    with service.database.read() as session:
        return LoggedAnswerResponse.from_record(get_answer(session, answer_id))


@router.post("/{answer_id}/feedback", status_code=201)
def give_feedback(answer_id: int, body: FeedbackRequest, service: Service) -> FeedbackResponse:
    """Say whether an answer was good, and what it should have said."""
    with service.database.write() as session:
        feedback_id = add_feedback(
            session,
            answer_id,
            rating=body.rating,
            comment=body.comment,
            corrected_answer=body.corrected_answer,
            user_id=body.user_id,
        )
        given = next(f for f in get_answer(session, answer_id).feedback if f.id == feedback_id)
    return FeedbackResponse(
        id=given.id,
        answer_id=given.answer_id,
        rating=given.rating,
        comment=given.comment,
        corrected_answer=given.corrected_answer,
        user_id=given.user_id,
        created_at=given.created_at,
    )
