"""For whatever watches over the server."""

from fastapi import APIRouter, Response

from rag.api.schemas import CheckResponse, HealthResponse, ReadinessResponse
from rag.api.service import Keeper

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process up?")
async def healthz() -> HealthResponse:
    """Say that the process is up."""
    return HealthResponse(status="ok")


@router.get(
    "/readyz",
    summary="Can questions be answered?",
    responses={503: {"model": ReadinessResponse, "description": "Something is not in order"}},
)
def readyz(keeper: Keeper, response: Response) -> ReadinessResponse:
    """Say whether questions can be answered: database reachable and migrated, models loaded, indexes open."""
    checks = keeper.check()
    ready = all(check.detail is None for check in checks)
    if not ready:
        response.status_code = 503
    return ReadinessResponse(
        ready=ready,
        checks=[CheckResponse(name=c.name, ready=c.detail is None, detail=c.detail) for c in checks],
    )
