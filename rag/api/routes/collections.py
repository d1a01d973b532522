"""Named bodies of documents."""

from fastapi import APIRouter

from rag.api.callers import From
from rag.api.collection_schemas import CollectionListResponse, CollectionResponse
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.collections import list_collections

router = APIRouter(prefix="/v1/collections", tags=["documents"])


@router.get("", summary="List collections", responses=problems(422, 503))
def list_some(service: Service, caller: From, *, cursor: Cursor = "", limit: Limit = 100) -> CollectionListResponse:
    """List the collections with what they hold. One is made by the first document that is put into it."""
    with service.database.read() as session:
        after = read_cursor(cursor, "collections", first="")
        sizes = list_collections(session, caller=caller, after_name=after, limit=limit + 1)
    shown, following = cut_page(sizes, "collections", limit=limit, key=lambda size: size.collection.name)
    return CollectionListResponse(collections=[CollectionResponse.from_record(size) for size in shown], next=following)
