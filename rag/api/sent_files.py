"""Files that were sent to be ingested: at once, or after their sender has been answered."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse

from rag.api.idempotency import fingerprint
from rag.api.ingestion_schemas import IngestionRunResponse, UploadResponse
from rag.api.upload_worker import UploadWorker
from rag.assemble import Rag
from rag.ingest.labels import Labels
from rag.records import Caller
from rag.store.followed_runs import get_followed_run

ACCEPTED: dict[str, Any] = {
    "model": IngestionRunResponse,
    "description": "Kept, and worked on in the background",
    "headers": {"Location": {"description": "The run to follow.", "schema": {"type": "string"}}},
}
"""What the OpenAPI document says of an upload that is ingested later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """An uploaded file with what its sender says of it."""

    data: bytes
    name: str
    collection: str
    labels: Labels

    @property
    def sha256(self) -> str:
        """The hash of all that makes this upload another one than others."""
        content = hashlib.sha256(self.data).hexdigest()
        return fingerprint(content, self.name, self.collection, asdict(self.labels))


def prefers_async(prefer: str) -> bool:
    """Whether a header Prefer asks for an answer before the work (RFC 7240, 4.1)."""
    preferences = (part.split(";")[0].split("=")[0].strip().lower() for part in prefer.split(","))
    return "respond-async" in preferences


def ingest_now(service: Rag, sent: SentFile, *, caller: Caller) -> Response:
    """Ingest a file and answer 201 with its documents."""
    uploaded = service.ingester.upload(
        sent.data, name=sent.name, collection=sent.collection, labels=sent.labels, caller=caller
    )
    answered = UploadResponse.from_record(uploaded, collection=sent.collection)
    return JSONResponse(answered.model_dump(mode="json"), 201)


def ingest_later(service: Rag, sent: SentFile, *, caller: Caller, worker: UploadWorker) -> Response:
    """Keep a file for the worker and answer 202 with the run to follow."""
    run_id = service.uploads.accept(
        sent.data, name=sent.name, collection=sent.collection, labels=sent.labels, caller=caller
    )
    with service.database.read() as session:
        run = IngestionRunResponse.from_record(get_followed_run(session, run_id, caller=caller))
    worker.wake()
    headers = {"Location": f"/v1/ingestion-runs/{run_id}", "Preference-Applied": "respond-async"}
    return JSONResponse(run.model_dump(mode="json"), 202, headers)
