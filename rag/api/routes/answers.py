"""Questions, their answers as logged, and what people say of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from rag.api.answer_events import produce_answer
from rag.api.answer_pages import answers_after, page_of_answers
from rag.api.callers import From
from rag.api.conversation_schemas import ChainResponse
from rag.api.event_stream import MEDIA_TYPE, STREAMED, EventStream
from rag.api.moments import Moment
from rag.api.paging import Cursor, Limit
from rag.api.permissions import require_role
from rag.api.problems import on_rag_error, problems
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
from rag.api.workers import Pool, run_while_wanted
from rag.cancellation import Cancellation
from rag.errors import InvalidInput
from rag.records import Answer, Hit
from rag.store.answer_links import chain_ids
from rag.store.answer_order import NEWEST_FIRST, AnswerSort
from rag.store.answer_review import ScoreName, ScoreRange, list_answers
from rag.store.answers import add_feedback, get_answer
from rag.store.audit import audit_reading

router = APIRouter(prefix="/v1/answers", tags=["answers"])


EVENTS = (
    "The answer as server-sent events: `passages`, then `token`, `citation` and `answer`; `error` where it fails later."
)


@router.post(
    "",
    summary="Ask a question",
    response_model=AnswerResponse,
    responses={
        200: {
            "description": f"The answer. {EVENTS}",
            "content": STREAMED,
        },
        **problems(404, 422, 503, 504),
    },
)
async def ask(
    asked: QuestionRequest, request: Request, service: Service, workers: Pool, caller: From
) -> AnswerResponse | EventStream:
    """Answer a question from a collection, with exact citations, and log it.

    Where the documents do not hold the answer, `abstained` is true and `passages` are the closest that there are. With
    `stream`, or `Accept: text/event-stream`, the same comes as server-sent events.
    """

    def answer(cancellation: Cancellation, on_found: Callable[[Sequence[Hit]], None] = lambda _: None) -> Answer:
        return service.ask(
            asked.question,
            collection=asked.collection,
            top_k=asked.top_k,
            filters=asked.filters,
            search=asked.options(),
            caller=caller,
            links=asked.links,
            cancellation=cancellation,
            on_found=on_found,
        )

    if asked.stream or (asked.stream is None and MEDIA_TYPE in request.headers.get("accept", "")):
        return EventStream(
            request,
            workers,
            produce_answer(answer),
            explain=partial(on_rag_error, request),
            error_event="error",
            keep_alive_s=service.settings.stream_keep_alive_s,
        )
    return AnswerResponse.from_record(await run_while_wanted(request, workers, answer))


def _score(
    score: Annotated[ScoreName | None, Query(description="The score that min_score and max_score are of.")] = None,
    min_score: Annotated[float, Query(ge=0, le=1)] = 0.0,
    max_score: Annotated[float, Query(ge=0, le=1)] = 1.0,
) -> ScoreRange | None:
    """The range of a score that a list is narrowed down to."""
    return None if score is None else ScoreRange(metric=score, least=min_score, most=max_score)


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
    user_id: Annotated[str | None, Query(description="Who asked.")] = None,
    rated: Annotated[bool | None, Query(description="Whether anyone gave feedback.")] = None,
    reviewed: Annotated[bool | None, Query(description="Whether a reviewer judged it.")] = None,
    score: Annotated[ScoreRange | None, Depends(_score)],
    sort: Annotated[AnswerSort, Query(description="The lowest first; with a minus, the highest.")] = NEWEST_FIRST,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> AnswerListResponse:
    """List the log, newest first unless sorted otherwise: the rows of the SQL view answer_review.

    Readers and contributors see their own answers. A look at those of others is written down.
    """
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
            user_id=user_id,
            rated=rated,
            reviewed=reviewed,
            score=score,
            sort=sort,
            after=answers_after(cursor, sort),
            limit=limit + 1,
            caller=caller,
        )
    shown, following = page_of_answers(rows, sort, limit=limit)
    audit_reading(service.database, caller, "answer.list", [row.answer_id for row in shown])
    return AnswerListResponse(answers=[AnswerSummary.from_record(row) for row in shown], next=following)


@router.get("/{answer_id}", summary="Show a logged answer", responses=problems(404, 422, 503))
def show(answer_id: int, service: Service, caller: From) -> LoggedAnswerResponse:
    """Show everything that was logged of an answer, with the feedback since."""
    with service.database.read() as session:
        logged = get_answer(session, answer_id, caller=caller)
    audit_reading(service.database, caller, "answer.read", [answer_id])
    return LoggedAnswerResponse.from_record(logged)


@router.get("/{answer_id}/chain", summary="Show a prompt chain", responses=problems(404, 422, 503))
def chain(answer_id: int, service: Service, caller: From) -> ChainResponse:
    """Show the prompt chain that ends with an answer, in the order in which it was given: its last 100 answers.

    It begins after an answer that is gone, or is not open to you.
    """
    with service.database.read() as session:
        ids = chain_ids(session, answer_id, caller=caller)
        answers = [get_answer(session, one, caller=caller).answer for one in ids]
    audit_reading(service.database, caller, "answer.read", ids)
    return ChainResponse(answers=[AnswerResponse.from_record(answer) for answer in answers])


@router.post("/{answer_id}/feedback", summary="Rate an answer", status_code=201, responses=problems(403, 404, 422, 503))
def rate(answer_id: int, given: FeedbackRequest, service: Service, caller: From) -> FeedbackResponse:
    """Say whether an answer was good, and what it should have said. The last word on an answer counts."""
    if caller.user_id is not None and given.user_id not in (None, caller.user_id):
        raise InvalidInput(f"Feedback with your key is {caller.user_id}'s; leave user_id out.")
    if given.is_review:
        require_role(caller, "reviewer")
    with service.database.write() as session:
        feedback_id = add_feedback(
            session,
            answer_id,
            rating=given.rating,
            comment=service.mask.remark(given.comment, "comment"),
            corrected_answer=service.mask.remark(given.corrected_answer, "corrected_answer"),
            wrong_passage_id=given.wrong_passage_id,
            is_review=given.is_review,
            user_id=caller.user_id or given.user_id,
            caller=caller,
        )
        logged = get_answer(session, answer_id, caller=caller)
    return FeedbackResponse.from_record(next(stored for stored in logged.feedback if stored.id == feedback_id))
