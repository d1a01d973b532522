"""Named bodies of documents."""

from fastapi import APIRouter

from rag.api.callers import From
from rag.api.collection_schemas import CollectionListResponse, CollectionResponse
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.collections import list_collections

router = APIRouter(prefix="/v1/collections", tags=["documents"])


@router.get("", summary="List collections", responses=problems(503))
def list_all(service: Service, caller: From) -> CollectionListResponse:
    """List the collections with what they hold. One is made by the first document that is put into it."""
    with service.database.read() as session:
        sizes = list_collections(session, caller=caller)
    return CollectionListResponse(collections=[CollectionResponse.from_record(size) for size in sizes])
