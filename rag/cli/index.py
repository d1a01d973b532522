"""``rag index``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli import generations
from rag.cli.output import console, note, print_json, print_table
from rag.cli.state import settings_of
from rag.errors import InvalidInput

if TYPE_CHECKING:
    from rag.assemble import Rag
    from rag.store.collections import CollectionSize

app = typer.Typer(help="The search indexes: caches of SQL that can be deleted at any time.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CollectionOption = Annotated[str, typer.Option(help="Which collection.")]


@app.command()
def stats(context: typer.Context, as_json: JsonOption = False) -> None:
    """What each collection has in SQL and in its index; no index figures where its embedding model is not here.

    With search = "postgres" or "milvus" there is no folder, and the bytes are those of all collections together; a
    Milvus server does not tell them.
    """
    from rag.assemble import Rag

    with Rag(settings_of(context)) as service:
        rows = []
        for size in _sizes(service):
            row: dict[str, Any] = {"collection": size.collection.name, "num_real": size.num_real}
            row |= {"num_synthetic": size.num_synthetic, "passages_in_sql": size.num_passages}
            index = service.indexes.get(size.collection) if _is_open_to(service, size) else None
            row["passages_in_index"] = len(index) if index is not None else None
            row["change_id"] = index.change_id if index is not None else None
            vectors = index.vector_stats if index is not None else None
            row["kind"] = vectors.kind if vectors else None
            row["num_unlinked"] = vectors.num_unlinked if vectors else None
            row["num_removed"] = vectors.num_removed if vectors else None
            row["vector_bytes"] = vectors.num_bytes if vectors else None
            row["folder"] = str(index.folder) if index is not None and index.folder is not None else None
            row["bytes"] = index.num_bytes() if index is not None else None
            rows.append(row)
    if as_json:
        print_json({"indexes": rows})
    else:
        _print_rows(rows)


@app.command()
def verify(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check the newest snapshot of each collection, that its index holds what SQL holds, and that searches find it.

    A damaged snapshot is reported, with exit status 1, and rebuilt from SQL. So is a vector search that finds less than
    98% of the ten nearest passages, over queries near 200 stored vectors. With search = "postgres" there are no
    snapshots, and the words that it counts are counted again; with "milvus", the passages there are compared with those
    of SQL one by one. Collections whose embedding model is not on this machine are not checked.
    """
    from rag.assemble import Rag
    from rag.index.recall import MIN_RECALL

    with Rag(settings_of(context)) as service:
        # Before any index is opened: opening replaces a damaged snapshot.
        damage = _damaged_snapshots(service)
        rows = []
        for size in _sizes(service):
            row: dict[str, Any] = {"collection": size.collection.name, "passages_in_sql": size.num_passages}
            index = service.indexes.get(size.collection) if _is_open_to(service, size) else None
            if index is not None:
                index.refresh()
            row["passages_in_index"] = len(index) if index is not None else None
            row["recall_at_10"] = index.vector_recall() if index is not None else None
            row["problem"] = None
            if index is not None and index.folder is not None and index.folder in damage:
                row["problem"] = f"{damage[index.folder]} It is rebuilt from SQL now."
            elif index is not None and len(index) != size.num_passages:
                row["problem"] = "The index does not hold what SQL holds; run `rag index build`."
            elif index is not None and (problem := index.problem()) is not None:
                row["problem"] = problem
            elif index is not None and row["recall_at_10"] < MIN_RECALL:
                row["problem"] = (
                    f"The vector search finds {row['recall_at_10']:.1%} of the ten nearest passages, less than "
                    f"{MIN_RECALL:.0%}; run `rag index build`, and if that does not help set vector_index to exact."
                )
            row["good"] = row["problem"] is None if index is not None else None
            rows.append(row)
    if as_json:
        print_json({"indexes": rows})
    else:
        _print_rows(rows)
    if any(row["good"] is False for row in rows):
        raise typer.Exit(1)


@app.command()
def build(context: typer.Context, collection: CollectionOption = "default", as_json: JsonOption = False) -> None:
    """Build a collection's index anew from SQL; nothing is embedded again."""
    from rag.assemble import Rag
    from rag.store.collections import get_collection

    with Rag(settings_of(context)) as service:
        with service.database.read() as session:
            found = get_collection(session, collection)
        index = service.indexes.get(found)
        index.rebuild()
        num_passages = len(index)
    if as_json:
        print_json({"collection": collection, "passages_in_index": num_passages})
    else:
        console().print(f"{collection}: {num_passages} passages indexed", markup=False)


app.command("rebuild", hidden=True)(build)
app.command("reembed")(generations.reembed)
app.command("generations")(generations.generations)
app.command("drop")(generations.drop)


def _sizes(service: "Rag") -> "list[CollectionSize]":
    from rag.store.collections import list_collections

    with service.database.read() as session:
        return list_collections(session)


def _is_open_to(service: "Rag", size: "CollectionSize") -> bool:
    try:
        service.embedders.get(size.collection.embedding_model)
    except InvalidInput as error:
        note(f"{size.collection.name}: {error}")
        return False
    return True


def _damaged_snapshots(service: "Rag") -> Mapping[Path, str]:
    """What is wrong with the newest snapshot, by folder; folders of collections that are gone are looked at too."""
    from rag.errors import IndexDamaged
    from rag.index.snapshots import SnapshotFolder, check_snapshot

    damage = {}
    root = service.settings.index_dir
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        for snapshot in SnapshotFolder(folder).newest()[:1]:
            try:
                check_snapshot(snapshot, embedding_model=None, dimension=None)
            except IndexDamaged as error:
                damage[folder] = str(error)
    return damage


def _print_rows(rows: list[dict[str, Any]]) -> None:
    if rows:
        print_table(
            [name.removeprefix("num_").replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows]
        )
    else:
        note("There is no collection yet; `rag ingest PATH` makes one.")
