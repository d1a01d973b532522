"""What an ingestion did, as ``rag ingest --json`` prints it, and what an upload did."""

from dataclasses import asdict
from datetime import datetime
from typing import Self

from pydantic import Field

from rag.api.paging import NEXT
from rag.api.schemas import DocumentResponse, RecordResponse, Response
from rag.ingest.report import Upload
from rag.store.followed_runs import FollowedRun, FollowedStatus


class SourcePairResponse(RecordResponse):
    """A document and the one that it repeats, by source."""

    source: str
    of: str


class SourceReasonResponse(RecordResponse):
    """What was refused, or what of a file was lost, and why."""

    source: str
    reason: str


class IngestionReportResponse(RecordResponse):
    """What became of the documents of a run. Near duplicates are also counted as added or updated."""

    run_id: int | None
    collection: str
    num_added: int
    num_updated: int
    num_unchanged: int
    num_exact_duplicates: int
    num_near_duplicates: int
    num_refused: int
    num_removed: int
    num_moved: int
    num_passages: int
    num_passages_reused: int
    num_real: int
    num_synthetic: int
    exact_duplicates: list[SourcePairResponse]
    near_duplicates: list[SourcePairResponse]
    refused: list[SourceReasonResponse]
    partly_read: list[SourceReasonResponse]
    seconds: float
    passages_per_second: float


class UploadResponse(Response):
    """The documents that the uploaded file holds now, and what of it is in none of them."""

    documents: list[DocumentResponse]
    partly_read: list[SourceReasonResponse] = Field(
        description="An entry for each thing that was lost of the file, as in the report of an ingestion."
    )

    @classmethod
    def from_record(cls, upload: Upload, *, collection: str) -> Self:
        """The upload as it goes over the wire; ``collection`` is the name of its collection."""
        return cls(
            documents=[DocumentResponse.from_record(document, collection=collection) for document in upload.documents],
            partly_read=[SourceReasonResponse.from_record(lost) for lost in upload.partly_read],
        )


class IngestionRunResponse(Response):
    """One call of the ingestion command, or one upload, and what has come of it so far."""

    id: int
    collection: str
    paths: list[str]
    status: FollowedStatus = Field(description="waiting: an upload that nobody works on yet.")
    num_added: int
    num_updated: int
    num_unchanged: int
    num_exact_duplicates: int
    num_near_duplicates: int
    num_refused: int = Field(description="Why, say the failures of the run.")
    num_removed: int
    num_moved: int
    num_passages: int
    num_passages_reused: int
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def from_record(cls, followed: FollowedRun) -> Self:
        """The run as it goes over the wire."""
        run = followed.run
        return cls(
            id=run.id,
            collection=followed.collection,
            paths=list(run.paths),
            status=followed.status,
            **asdict(run.counts),
            started_at=run.started_at,
            finished_at=run.finished_at,
        )


class IngestionRunListResponse(Response):
    """A page of ingestion runs, newest first."""

    runs: list[IngestionRunResponse]
    next: str | None = Field(description=NEXT)


class IngestionFailureResponse(RecordResponse):
    """A document that a run refused, and why."""

    source: str
    reason: str
    created_at: datetime


class IngestionFailureListResponse(Response):
    """A page of what a run refused, in the order in which it happened."""

    failures: list[IngestionFailureResponse]
    next: str | None = Field(description=NEXT)
