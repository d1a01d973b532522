"""For whatever watches over the server."""

from fastapi import APIRouter, Response

from rag.api.schemas import HealthResponse, ReadinessResponse
from rag.api.service import NEEDED, READY, Keeper
from rag.api.workers import Pool

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process up?")
async def healthz() -> HealthResponse:
    """Say that the process is up."""
    return HealthResponse(status="up")


@router.get(
    "/readyz",
    summary="Can questions be answered?",
    response_model_exclude_none=True,
    responses={503: {"model": ReadinessResponse, "description": "Something is not ready, and says why"}},
)
async def readyz(keeper: Keeper, workers: Pool, response: Response) -> ReadinessResponse:
    """Say whether the database is reachable and migrated, the models are loaded and the indexes open.

    Where a Redis server is set, also whether that answers. Without it everything works, slower: no reason for 503.
    """
    parts = await workers.check(keeper.check)
    if any(parts[part] != READY for part in NEEDED):
        response.status_code = 503
    return ReadinessResponse(**parts)
