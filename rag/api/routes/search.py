"""Searching without answering."""

from fastapi import APIRouter

from rag.api.callers import From
from rag.api.problems import problems
from rag.api.schemas import HitResponse, SearchResponse
from rag.api.search_schemas import SearchRequest
from rag.api.service import Service

router = APIRouter(prefix="/v1/search", tags=["search"])


@router.post("", summary="Search for passages", responses=problems(404, 422, 503))
def search(wanted: SearchRequest, service: Service, caller: From) -> SearchResponse:
    """Find passages by their words, their meaning or both, with the score of each."""
    hits = service.search(
        wanted.query,
        collection=wanted.collection,
        options=wanted.options(wanted.mode),
        top_k=wanted.top_k,
        filters=wanted.filters,
        caller=caller,
    )
    return SearchResponse(hits=[HitResponse.from_record(hit) for hit in hits])
