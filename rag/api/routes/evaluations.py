"""Evaluations that were run, and two of them side by side."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from rag.api.callers import owner_of
from rag.api.evaluation_schemas import EVALUATIONS, ComparisonResponse, EvaluationListResponse, EvaluationResponse
from rag.api.paging import Cursor, Limit, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.evaluate.comparison import compare_evaluations
from rag.store.evaluations import get_evaluation, list_evaluations

router = APIRouter(prefix="/v1/evaluation-runs", tags=["evaluations"], dependencies=[Depends(owner_of)])
RunId = Annotated[int, Query(ge=1)]


@router.get("", summary="List evaluations", responses=problems(403, 422, 503))
def list_some(
    service: Service,
    *,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> EvaluationListResponse:
    """List evaluations with their figures, newest first. `rag evaluate qa` runs one."""
    with service.database.read() as session:
        before_id = read_cursor(cursor, EVALUATIONS, first=0) or None
        records = list_evaluations(session, before_id=before_id, limit=limit + 1)
    return EvaluationListResponse.of(records, limit=limit)


@router.get("/compare", summary="Compare two evaluations", responses=problems(403, 404, 422, 503))
def compare(
    service: Service, *, a: RunId, b: RunId, limit: Annotated[int, Query(ge=0, le=1000)] = 100
) -> ComparisonResponse:
    """Compare evaluation `b` with `a`, which asked the same questions: what got better and worse, and where."""
    return ComparisonResponse.of(compare_evaluations(service.database, a, b), limit=limit)


@router.get("/{run_id}", summary="Show an evaluation", responses=problems(403, 404, 422, 503))
def show(run_id: int, service: Service) -> EvaluationResponse:
    """Show one evaluation with its settings and figures."""
    with service.database.read() as session:
        record = get_evaluation(session, run_id)
    return EvaluationResponse.from_record(record)
