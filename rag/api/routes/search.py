"""Searching without an answer."""

from fastapi import APIRouter

from rag.api.schemas import HitResponse, SearchRequest, SearchResponse
from rag.api.service import Service

router = APIRouter(prefix="/v1/search", tags=["search"])


@router.post("")
def search(body: SearchRequest, service: Service) -> SearchResponse:
    """The best passages for a query, with the score of each leg."""
    found = service.retriever.search(
        body.query,
        collection=body.collection,
        mode=body.mode,
        top_k=service.settings.top_k if body.top_k is None else body.top_k,
        filters=body.filters,
    )
    return SearchResponse(
        hits=[HitResponse.from_record(hit) for hit in found.hits], timings_ms=dict(found.timings_ms)
    )
