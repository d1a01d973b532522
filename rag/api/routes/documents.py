"""Documents: putting them in, looking at them, taking them out."""

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, File, Form, Header, Query, Request, Response, UploadFile

from rag.api.callers import From
from rag.api.idempotency import Key, once
from rag.api.ingestion_schemas import UploadResponse
from rag.api.name_values import parse_filters, parse_tags
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.schemas import (
    ACCESS_LABELS,
    FILTER_TEXT,
    DocumentListResponse,
    DocumentResponse,
    DocumentTextResponse,
)
from rag.api.sent_files import ACCEPTED, SentFile, ingest_later, ingest_now, prefers_async
from rag.api.service import Service
from rag.errors import InvalidInput, LimitExceeded
from rag.ingest.labels import Labels
from rag.records import Origin
from rag.store.collections import get_collection, get_collection_by_id
from rag.store.documents import get_document, list_documents

router = APIRouter(prefix="/v1/documents", tags=["documents"])


@router.post(
    "",
    summary="Upload a document",
    status_code=201,
    response_model=UploadResponse,
    responses={202: ACCEPTED, **problems(403, 409, 413, 422, 503)},
)
def upload(
    service: Service,
    caller: From,
    request: Request,
    *,
    file: Annotated[UploadFile, File(description="The ending of its name tells what it is.")],
    collection: Annotated[str, Form(description="Made if it is not there.")] = "default",
    tags: Annotated[
        list[str],
        Form(default_factory=list, description="name=value, any number of times, or a JSON object of strings."),
    ],
    origin: Annotated[Origin, Form()] = "real",
    access_labels: Annotated[
        list[str], Form(default_factory=list, description=f"{ACCESS_LABELS} Without any, those of a known file stay.")
    ],
    open_to_all: Annotated[bool, Form(description="Take away the access labels of a known file.")] = False,
    idempotency_key: Key = None,
    prefer: Annotated[
        str, Header(description="`respond-async` (RFC 7240): answer before the file is worked on, whatever its size.")
    ] = "",
) -> Response:
    """Ingest one file; the next search finds it. The same name again in the same collection is a new version.

    A file above background_upload_bytes (a setting), or any with `Prefer: respond-async`, is kept and worked on
    afterwards: the response is 202 with the run to follow.
    """
    data = _read(file, max_bytes=service.settings.max_upload_bytes)
    labels = Labels(
        tags=parse_tags(tags),
        origin=origin,
        access_labels=tuple(access_labels) if access_labels or open_to_all else None,
    )
    sent = SentFile(data=data, name=_plain_name(file.filename or ""), collection=collection, labels=labels)

    def work() -> Response:
        if len(data) > service.settings.background_upload_bytes or prefers_async(prefer):
            return ingest_later(service, sent, caller=caller, worker=request.app.state.upload_worker)
        return ingest_now(service, sent, caller=caller)

    return once(service, caller, key=idempotency_key, request_sha256=sent.sha256, work=work)


@router.get("", summary="List documents", responses=problems(404, 422, 503))
def list_some(
    service: Service,
    caller: From,
    *,
    collection: str = "default",
    filters: Annotated[
        list[str],
        Query(
            default_factory=list,
            alias="filter",
            description=FILTER_TEXT,
        ),
    ],
    cursor: Cursor = "",
    limit: Limit = 100,
    include_deleted: bool = False,
) -> DocumentListResponse:
    """List the documents of a collection by id."""
    with service.database.read() as session:
        documents = list_documents(
            session,
            get_collection(session, collection, caller=caller).id,
            caller=caller,
            filters=parse_filters(filters, field="The filter"),
            after_id=read_cursor(cursor, "documents", first=0),
            limit=limit + 1,  # one more than is shown tells whether there is a next page
            include_deleted=include_deleted,
        )
    shown, following = cut_page(documents, "documents", limit=limit, key=lambda document: document.id)
    return DocumentListResponse(
        documents=[DocumentResponse.from_record(document, collection=collection) for document in shown],
        next=following,
    )


@router.get("/{document_id}", summary="Show a document with its text", responses=problems(404, 422, 503))
def show(
    document_id: int,
    service: Service,
    caller: From,
    *,
    version: Annotated[int | None, Query(description="The current one if left out.")] = None,
) -> DocumentTextResponse:
    """Show a document with the text of one version. Old versions and deleted documents stay for their citations."""
    with service.database.read() as session:
        found = get_document(session, document_id, version=version, caller=caller)
        collection = get_collection_by_id(session, found.document.collection_id)
    return DocumentTextResponse.from_record(found, collection=collection.name)


@router.delete("/{document_id}", summary="Delete a document", status_code=204, responses=problems(404, 422, 503))
def delete(document_id: int, service: Service, caller: From) -> Response:
    """Take a document out of its collection; the next search does not find it."""
    service.ingester.remove(document_id, caller=caller)
    return Response(status_code=204)


def _read(file: UploadFile, *, max_bytes: int) -> bytes:
    data = file.file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise LimitExceeded(
            f"The file holds more than {max_bytes:,} bytes; split it or raise the limit", setting="max_upload_bytes"
        )
    return data


def _plain_name(filename: str) -> str:
    """The last part of a path: an upload's name is only ever a name here."""
    name = PurePosixPath(filename.replace("\\", "/")).name
    if not name:
        raise InvalidInput("The uploaded file has no name; its ending tells what it is.")
    return name
