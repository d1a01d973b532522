"""Datasets: named versions of a collection."""

from typing import Annotated

from fastapi import APIRouter, Query

from rag.api.callers import WholeCollectionSeer
from rag.api.dataset_schemas import (
    DatasetContentResponse,
    DatasetDiffResponse,
    DatasetListResponse,
    DatasetRequest,
    DatasetResponse,
)
from rag.api.paging import Cursor, Limit, cut_page, read_cursor
from rag.api.problems import problems
from rag.api.service import Service
from rag.store.collections import get_collection
from rag.store.dataset_differences import count_differences, list_differences
from rag.store.datasets import create_dataset, get_dataset, list_dataset_documents, list_datasets

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


@router.get("", summary="List datasets", responses=problems(403, 404, 422, 503))
def list_some(
    service: Service,
    caller: WholeCollectionSeer,
    *,
    collection: Annotated[str | None, Query(description="Of all if left out.")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> DatasetListResponse:
    """List the datasets, oldest first."""
    with service.database.read() as session:
        collection_id = None if collection is None else get_collection(session, collection, caller=caller).id
        after = read_cursor(cursor, "datasets", first=0)
        datasets = list_datasets(session, collection_id=collection_id, after_id=after, limit=limit + 1, caller=caller)
    shown, following = cut_page(datasets, "datasets", limit=limit, key=lambda dataset: dataset.id)
    return DatasetListResponse(datasets=[DatasetResponse.from_record(dataset) for dataset in shown], next=following)


@router.post("", summary="Create a dataset", status_code=201, responses=problems(403, 404, 422, 503))
def create(wanted: DatasetRequest, service: Service, caller: WholeCollectionSeer) -> DatasetResponse:
    """Keep what a collection holds now under a name. A dataset never changes."""
    with service.database.read() as session:
        collection_id = get_collection(session, wanted.collection, caller=caller).id
    dataset = create_dataset(service.database, collection_id, name=wanted.name, note=wanted.note, caller=caller)
    return DatasetResponse.from_record(dataset)


@router.get("/{dataset_id}", summary="Show a dataset with its documents", responses=problems(403, 404, 422, 503))
def show(
    dataset_id: int, service: Service, caller: WholeCollectionSeer, *, cursor: Cursor = "", limit: Limit = 100
) -> DatasetContentResponse:
    """Show a dataset with a page of the documents that it holds, by source."""
    with service.database.read() as session:
        dataset = get_dataset(session, dataset_id, caller=caller)
        after = read_cursor(cursor, "dataset documents", first="")
        documents = list_dataset_documents(session, dataset_id, after_source=after, limit=limit + 1)
    return DatasetContentResponse.from_records(dataset, documents, limit=limit)


@router.get("/{dataset_id}/diff/{other_id}", summary="Compare two datasets", responses=problems(403, 404, 422, 503))
def diff(
    dataset_id: int,
    other_id: int,
    service: Service,
    caller: WholeCollectionSeer,
    *,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> DatasetDiffResponse:
    """Say which documents came, went and changed from the first dataset to the second, by source."""
    with service.database.read() as session:
        before, after = (get_dataset(session, one, caller=caller) for one in (dataset_id, other_id))
        counts = count_differences(session, dataset_id, other_id)
        after_source = read_cursor(cursor, "differences", first="")
        differences = list_differences(session, dataset_id, other_id, after_source=after_source, limit=limit + 1)
    return DatasetDiffResponse.from_records(before, after, counts, differences, limit=limit)
