"""``rag datasets``: named, immutable versions of a collection."""

from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.output import console, note, plain, print_json, print_table
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database, operator
from rag.cli.wording import short_source

if TYPE_CHECKING:
    from rag.store.datasets import Dataset

app = typer.Typer(help="Named, immutable versions of a collection.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CollectionOption = Annotated[str, typer.Option(help="Which collection.")]
LimitOption = Annotated[int, typer.Option(help="At most so many documents.", min=1)]
SHOWN_HASH_CHARS = 12


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Unique in its collection.")],
    collection: CollectionOption = "default",
    remark: Annotated[str | None, typer.Option("--note", help="What it is for.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Keep what a collection holds now, under a name. Answers name the dataset that they saw."""
    from rag.api.dataset_schemas import DatasetResponse
    from rag.store.collections import get_collection
    from rag.store.datasets import create_dataset

    with open_database(context) as database:
        with database.read() as session:
            collection_id = get_collection(session, collection).id
        dataset = create_dataset(database, collection_id, name=name, note=remark, caller=operator())
    if as_json:
        print_json(DatasetResponse.from_record(dataset).model_dump(mode="json"))
    else:
        console().print(plain(f"dataset {dataset.name} of {collection}: {_content(dataset)}"))


@app.command("list")
def list_some(
    context: typer.Context,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Datasets, oldest first."""
    from rag.api.dataset_schemas import DatasetListResponse, DatasetResponse
    from rag.store.collections import get_collection
    from rag.store.datasets import list_datasets

    with open_database(context) as database, database.read() as session:
        collection_id = None if collection is None else get_collection(session, collection).id
        datasets = list_datasets(session, collection_id=collection_id)
    if as_json:
        found = DatasetListResponse(datasets=[DatasetResponse.from_record(dataset) for dataset in datasets])
        print_json(found.model_dump(mode="json"))
    elif not datasets:
        note("There is no dataset yet; `rag datasets create NAME` makes one.")
    else:
        print_table(
            ["id", "collection", "name", "documents", "real", "synthetic", "sha256", "created at", "note"],
            [
                [d.id, d.collection, d.name, d.num_documents, d.num_real, d.num_synthetic, _short(d.sha256)]
                + [f"{d.created_at:%Y-%m-%d %H:%M:%S}", d.note]
                for d in datasets
            ],
        )


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The dataset's name.")],
    collection: CollectionOption = "default",
    cursor: CursorOption = "",
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """One dataset with its documents, by source."""
    from rag.api.dataset_schemas import DatasetContentResponse
    from rag.api.paging import read_cursor
    from rag.store.collections import get_collection
    from rag.store.datasets import find_dataset, list_dataset_documents

    with open_database(context) as database, database.read() as session:
        dataset = find_dataset(session, get_collection(session, collection).id, name)
        after = read_cursor(cursor, "dataset documents", first="")
        documents = list_dataset_documents(session, dataset.id, after_source=after, limit=limit + 1)
    content = DatasetContentResponse.from_records(dataset, documents, limit=limit)
    if as_json:
        print_json(content.model_dump(mode="json"))
        return
    out = console()
    out.print(plain(f"{dataset.name} of {dataset.collection}: {_content(dataset)}"))
    out.print(plain(f"created {dataset.created_at:%Y-%m-%d %H:%M:%S} after index change {dataset.index_change_id}"))
    out.print(plain(f"sha256 {dataset.sha256}"))
    if dataset.note:
        out.print(plain(dataset.note))
    print_table(
        ["document", "version", "origin", "text sha256", "source"],
        [
            [d.document_id, d.document_version, d.origin, _short(d.text_sha256), short_source(d.source)]
            for d in content.documents
        ],
    )
    note_next(content.next)


@app.command()
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="The name of a dataset.")],
    after: Annotated[str, typer.Argument(help="The name of another one.")],
    collection: CollectionOption = "default",
    cursor: CursorOption = "",
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """Which documents came, went and changed from one dataset to another."""
    from rag.api.dataset_schemas import DatasetDiffResponse
    from rag.api.paging import read_cursor
    from rag.store.collections import get_collection
    from rag.store.dataset_differences import count_differences, list_differences
    from rag.store.datasets import find_dataset

    with open_database(context) as database, database.read() as session:
        collection_id = get_collection(session, collection).id
        was, is_now = (find_dataset(session, collection_id, name) for name in (before, after))
        counts = count_differences(session, was.id, is_now.id)
        after_source = read_cursor(cursor, "differences", first="")
        differences = list_differences(session, was.id, is_now.id, after_source=after_source, limit=limit + 1)
    found = DatasetDiffResponse.from_records(was, is_now, counts, differences, limit=limit)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console().print(f"{counts.num_added} added, {counts.num_removed} removed, {counts.num_changed} changed")
    if found.differences:
        print_table(
            ["", "before", "after", "source"],
            [
                [
                    d.kind,
                    _version(d.text_sha256_before, d.origin_before),
                    _version(d.text_sha256_after, d.origin_after),
                    short_source(d.source),
                ]
                for d in found.differences
            ],
        )
    note_next(found.next)


def _content(dataset: "Dataset") -> str:
    erased = f", {dataset.num_erased} erased since" if dataset.num_erased else ""
    return (
        f"{dataset.num_documents} documents, {dataset.num_real} real and {dataset.num_synthetic} synthetic{erased}, "
        f"id {dataset.id}"
    )


def _version(text_sha256: str | None, origin: str | None) -> str:
    return "" if text_sha256 is None else f"{_short(text_sha256)} {origin}"


def _short(sha256: str) -> str:
    return sha256[:SHOWN_HASH_CHARS]
