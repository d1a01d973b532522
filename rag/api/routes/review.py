"""Reviewing: what to look at first, how far reviewers agree, and how the service is used over time."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from rag.api.callers import From, owner_of
from rag.api.moments import Day
from rag.api.paging import Cursor, Limit, read_cursor
from rag.api.problems import problems
from rag.api.review_schemas import QUEUE, AgreementListResponse, AgreementResponse, ReviewQueueResponse, UsageResponse
from rag.api.service import Service
from rag.review.agreement import agreements
from rag.review.usage_report import MAX_DAYS, last_days, usage_report
from rag.store.audit import audit_reading
from rag.store.review_queue import QueueCursor, list_queue
from rag.store.reviews import list_judgements

router = APIRouter(prefix="/v1", tags=["review"])


@router.get("/review-queue", summary="List what to review first", responses=problems(422, 503))
def queue(
    service: Service,
    caller: From,
    *,
    collection: str | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> ReviewQueueResponse:
    """List answers that a reviewer should look at, and why; those that a reviewer has judged are out of it."""
    after = QueueCursor.parse(read_cursor(cursor, QUEUE, first="")) if cursor else None
    with service.database.read() as session:
        queued = list_queue(session, collection=collection, after=after, limit=limit + 1, caller=caller)
    audit_reading(service.database, caller, "answer.list", [one.answer_id for one in queued[:limit]])
    return ReviewQueueResponse.from_records(queued, limit=limit)


@router.get("/review-agreement", summary="Compare the reviewers' judgements", responses=problems(422, 503))
def agreement(service: Service, caller: From, *, collection: str | None = None) -> AgreementListResponse:
    """Say how far each two reviewers agree on the answers that both judged, by Cohen's kappa."""
    with service.database.read() as session:
        judgements = list_judgements(session, collection=collection, caller=caller)
    return AgreementListResponse(agreements=[AgreementResponse.from_record(found) for found in agreements(judgements)])


@router.get(
    "/usage", summary="Show usage over time", responses=problems(403, 422, 503), dependencies=[Depends(owner_of)]
)
def usage(
    service: Service,
    *,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="How many days.")] = 30,
    until: Annotated[Day | None, Query(description="The last of them, UTC; today if left out.")] = None,
    collection: str | None = None,
    model: str | None = None,
) -> UsageResponse:
    """Show questions, answer rate, latency, scores and feedback by day, and what changed since as many days before."""
    period = last_days(days, until=until or datetime.now(UTC).date())
    report = usage_report(service.database, period, collection=collection, model=model)
    return UsageResponse.from_records(period, report.days, report.drift)
