"""The versions of a document."""

from fastapi import APIRouter

from rag.api.callers import From
from rag.api.document_version_schemas import DocumentVersionListResponse, DocumentVersionResponse
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.document_versions import list_versions

router = APIRouter(prefix="/v1/documents", tags=["documents"])


@router.get("/{document_id}/versions", summary="List the versions of a document", responses=problems(404, 422, 503))
def list_some(
    document_id: int, service: Service, caller: From, *, cursor: Cursor = "", limit: Limit = 50
) -> DocumentVersionListResponse:
    """List the versions that a document ever had, the newest first, without their texts."""
    of = f"versions of document {document_id}"
    with service.database.read() as session:
        versions = list_versions(
            session,
            document_id,
            before_version=read_cursor(cursor, of, first=0) or None,
            limit=limit + 1,
            caller=caller,
        )
    shown, following = cut_page(versions, of, limit=limit, key=lambda one: one.version)
    return DocumentVersionListResponse(
        versions=[DocumentVersionResponse.from_record(one) for one in shown], next=following
    )
