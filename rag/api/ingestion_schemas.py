"""What an ingestion did, as ``rag ingest --json`` prints it, and what an upload did."""

from typing import Self

from pydantic import Field

from rag.api.schemas import DocumentResponse, RecordResponse, Response
from rag.ingest.report import Upload


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
