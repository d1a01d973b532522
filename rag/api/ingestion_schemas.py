"""What an ingestion did, as ``rag ingest --json`` prints it."""

from rag.api.schemas import RecordResponse


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
