"""Ingestion runs: following an upload that is worked on in the background, and what was refused."""

from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from rag.api.callers import From
from rag.api.ingestion_schemas import (
    IngestionFailureListResponse,
    IngestionFailureResponse,
    IngestionRunListResponse,
    IngestionRunResponse,
)
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.errors import Unavailable
from rag.store.collections import get_collection
from rag.store.followed_runs import FollowedRun, get_followed_run, list_followed_failures, list_followed_runs

router = APIRouter(prefix="/v1/ingestion-runs", tags=["documents"])

LOOK_EVERY_S = 0.3


@router.get("", summary="List ingestion runs", responses=problems(404, 422, 503))
def list_some(
    service: Service,
    caller: From,
    *,
    collection: Annotated[str | None, Query(description="Of all if left out.")] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> IngestionRunListResponse:
    """List what was ingested and uploaded, newest first."""
    with service.database.read() as session:
        runs = list_followed_runs(
            session,
            collection_id=None if collection is None else get_collection(session, collection, caller=caller).id,
            before_id=read_cursor(cursor, "ingestion runs", first=0) or None,
            limit=limit + 1,
            caller=caller,
        )
    shown, following = cut_page(runs, "ingestion runs", limit=limit, key=lambda followed: followed.run.id)
    return IngestionRunListResponse(runs=[IngestionRunResponse.from_record(run) for run in shown], next=following)


@router.get("/{run_id}", summary="Show an ingestion run", responses=problems(404, 422, 503))
def show(run_id: int, service: Service, caller: From) -> IngestionRunResponse:
    """Show how far a run is. An upload that was answered with 202 is searched once its run has finished."""
    return IngestionRunResponse.from_record(_look(run_id, service, caller))


@router.get("/{run_id}/failures", summary="List what a run refused", responses=problems(404, 422, 503))
def list_failures(
    run_id: int, service: Service, caller: From, *, cursor: Cursor = "", limit: Limit = 100
) -> IngestionFailureListResponse:
    """List the files and documents that a run refused, each with the reason."""
    with service.database.read() as session:
        after_id = read_cursor(cursor, "failures", first=0)
        failures = list_followed_failures(session, run_id, after_id=after_id, limit=limit + 1, caller=caller)
    shown, following = cut_page(failures, "failures", limit=limit, key=lambda failure: failure.id)
    return IngestionFailureListResponse(
        failures=[IngestionFailureResponse.from_record(failure) for failure in shown], next=following
    )


def _look(run_id: int, service: Service, caller: From) -> FollowedRun:
    with service.database.read() as session:
        return get_followed_run(session, run_id, caller=caller)


@router.get(
    "/{run_id}/events",
    summary="Follow an ingestion run",
    response_class=EventSourceResponse,
    responses=problems(404, 422, 503),
)
async def follow(
    first: Annotated[FollowedRun, Depends(_look)], run_id: int, service: Service, caller: From
) -> AsyncIterator[ServerSentEvent]:
    """Follow a run as a stream of events, each `run` with the run as JSON, whenever it has changed, until it has ended.

    Where the database does not answer, a last event `error` says so; the run goes on, and can be followed again.
    """
    followed, shown = first, None
    while True:
        if followed != shown:
            yield ServerSentEvent(event="run", data=IngestionRunResponse.from_record(followed))
        if followed.run.finished_at is not None:
            return
        shown = followed
        await anyio.sleep(LOOK_EVERY_S)
        try:
            followed = await to_thread.run_sync(_look, run_id, service, caller)
        except Unavailable as error:
            yield ServerSentEvent(event="error", data={"detail": str(error)})
            return
