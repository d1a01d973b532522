"""Metrics, for Prometheus to fetch."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from rag.api.watching import Watch

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="What the server counts and measures", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Give requests, answers, times, indexes and memory in the format of Prometheus."""
    watch = request.app.state.watch
    assert isinstance(watch, Watch)
    return Response(generate_latest(watch.metrics.registry), media_type=CONTENT_TYPE_LATEST)
