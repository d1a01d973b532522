"""Datasets over the wire: named versions of a collection, and what distinguishes two of them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Self

from pydantic import ConfigDict, Field

from rag.api.paging import NEXT, cut_page
from rag.api.schemas import RecordResponse, Request, Response
from rag.records import Origin
from rag.store.dataset_differences import DatasetDifference, DifferenceCounts, DifferenceKind
from rag.store.datasets import Dataset, DatasetDocument

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class DatasetRequest(Request):
    """A name for what a collection holds now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "2025-06", "collection": "default", "note": "As used for the June evaluation."}]
        }
    )

    name: str = Field(description="Unique in its collection, and never used again.")
    collection: str = "default"
    note: str | None = None


class DatasetResponse(RecordResponse):
    """A named, immutable version of a collection."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 3,
                    "collection": "default",
                    "name": "2025-06",
                    "note": "As used for the June evaluation.",
                    "index_change_id": 5120,
                    "num_documents": 412,
                    "num_real": 400,
                    "num_synthetic": 12,
                    "num_erased": 0,
                    "sha256": SHA256,
                    "created_at": "2025-06-30T16:00:00Z",
                }
            ]
        }
    )

    id: int
    collection: str
    name: str
    note: str | None
    index_change_id: int = Field(description="The collection's last index change then.")
    num_documents: int
    num_real: int
    num_synthetic: int
    num_erased: int = Field(description="Documents erased from it since; the other numbers count them still.")
    sha256: str = Field(
        description="Of all documents by source, in the order of code points: source, NUL, text_sha256, NUL."
    )
    created_at: datetime


class DatasetListResponse(Response):
    """A page of datasets, oldest first."""

    datasets: list[DatasetResponse]
    next: str | None = Field(None, description=NEXT)


class DatasetDocumentResponse(RecordResponse):
    """A document of a dataset. That version of it can still be shown."""

    document_id: int
    document_version: int
    source: str
    text_sha256: str
    origin: Origin


class DatasetContentResponse(Response):
    """A dataset with a page of its documents, by source."""

    dataset: DatasetResponse
    documents: list[DatasetDocumentResponse]
    next: str | None = Field(description=NEXT)

    @classmethod
    def from_records(cls, dataset: Dataset, documents: Sequence[DatasetDocument], *, limit: int) -> Self:
        """A page of at most ``limit`` documents; one more tells that there is a next page."""
        shown, following = cut_page(documents, "dataset documents", limit=limit, key=lambda document: document.source)
        return cls(
            dataset=DatasetResponse.from_record(dataset),
            documents=[DatasetDocumentResponse.from_record(document) for document in shown],
            next=following,
        )


class DatasetDifferenceResponse(RecordResponse):
    """A document that two datasets do not share. Hash and origin are null where the document is absent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "file:///handbook/travel.md",
                    "kind": "added",
                    "text_sha256_before": None,
                    "text_sha256_after": SHA256,
                    "origin_before": None,
                    "origin_after": "real",
                }
            ]
        }
    )

    source: str
    kind: DifferenceKind = Field(description="changed: other words or another origin.")
    text_sha256_before: str | None
    text_sha256_after: str | None
    origin_before: Origin | None
    origin_after: Origin | None


class DatasetDiffResponse(Response):
    """What came, went and changed from one dataset to another; the numbers count all, the page is by source."""

    before: DatasetResponse
    after: DatasetResponse
    num_added: int
    num_removed: int
    num_changed: int
    differences: list[DatasetDifferenceResponse]
    next: str | None = Field(description=NEXT)

    @classmethod
    def from_records(
        cls,
        before: Dataset,
        after: Dataset,
        counts: DifferenceCounts,
        differences: Sequence[DatasetDifference],
        *,
        limit: int,
    ) -> Self:
        """A page of at most ``limit`` differences; one more tells that there is a next page."""
        shown, following = cut_page(differences, "differences", limit=limit, key=lambda difference: difference.source)
        return cls(
            before=DatasetResponse.from_record(before),
            after=DatasetResponse.from_record(after),
            **asdict(counts),
            differences=[DatasetDifferenceResponse.from_record(difference) for difference in shown],
            next=following,
        )
