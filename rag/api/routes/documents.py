"""Documents and collections."""

import json
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Response, UploadFile

from rag.api.schemas import (
    CollectionListResponse,
    CollectionResponse,
    DocumentListResponse,
    DocumentResponse,
    DocumentTextResponse,
    UploadResponse,
)
from rag.api.service import Service
from rag.errors import InvalidInput, LimitExceeded
from rag.ingest.storing import Labels
from rag.records import Origin
from rag.store.collections import get_collection, list_collections
from rag.store.documents import get_document, list_documents

router = APIRouter(prefix="/v1", tags=["documents"])


@router.post("/documents", status_code=201)
def upload(
    service: Service,
    file: Annotated[UploadFile, File(description="The file; its name's ending tells its format.")],
    collection: Annotated[str, Form()] = "default",
    tags: Annotated[str, Form(description="A JSON object of strings.", examples=['{"team": "ops"}'])] = "{}",
    origin: Annotated[Origin, Form()] = "real",
) -> UploadResponse:
    """Ingest one file; it can be found as soon as this returns. The same name again is a new version."""
    limit = service.settings.max_upload_bytes
    data = file.file.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"The upload is larger than {limit} bytes.", setting="max_upload_bytes")
    documents = service.ingester.upload(
        data,
        name=_plain_name(file.filename or ""),
        collection=collection,
        labels=Labels(tags=_tags(tags), origin=origin),
    )
    return UploadResponse(documents=[DocumentResponse.from_record(document) for document in documents])


@router.get("/documents")
def list_some(
    service: Service,
    collection: str = "default",
    after_id: int = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> DocumentListResponse:
    """Documents by id."""
    with service.database.read() as session:
        found = get_collection(session, collection)
        documents = list_documents(session, found.id, filters={}, after_id=after_id, limit=limit)
    return DocumentListResponse(
        documents=[DocumentResponse.from_record(document) for document in documents],
        next_after_id=documents[-1].id if len(documents) == limit else None,
    )


@router.get("/documents/{document_id}")
def show(document_id: int, service: Service, version: int | None = None) -> DocumentTextResponse:
    """A document with the text of one version, by default the current one. Deleted ones can still be read."""
    with service.database.read() as session:
        return DocumentTextResponse.from_text(get_document(session, document_id, version=version))


@router.delete("/documents/{document_id}", status_code=204)
def delete(document_id: int, service: Service) -> Response:
    """Take a document out of search at once. Its versions stay, so that answers that cite it can be checked."""
    service.ingester.remove(document_id)
    return Response(status_code=204)


@router.get("/collections")
def list_all(service: Service) -> CollectionListResponse:
    """All collections with what they hold."""
    with service.database.read() as session:
        sizes = list_collections(session)
    return CollectionListResponse(collections=[CollectionResponse.from_record(size) for size in sizes])


def _plain_name(name: str) -> str:
    """The last part of an uploaded name: a name is only ever a name here, never a path."""
    plain = PurePosixPath(name.replace("\\", "/")).name
    if not plain:
        raise InvalidInput("The upload has no file name; its ending tells the format.")
    return plain


def _tags(text: str) -> dict[str, str]:
    try:
        tags = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"tags is not JSON: {error}.") from error
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise InvalidInput('tags must be a JSON object of strings, such as {"team": "ops"}.')
    return tags
