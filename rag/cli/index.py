"""``rag index``."""

from typing import Annotated

import typer

from rag.cli.output import console, print_json, print_table
from rag.cli.state import settings_of

app = typer.Typer(help="The search indexes: caches of SQL that can be deleted at any time.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def stats(context: typer.Context, as_json: JsonOption = False) -> None:
    """What each collection has in SQL and in its index."""
    from rag.assemble import Rag
    from rag.store.collections import list_collections

    with Rag(settings_of(context)) as service:
        with service.database.read() as session:
            sizes = list_collections(session)
        rows = []
        for size in sizes:
            if size.collection.embedding_model != service.embedder.name:
                continue
            index = service.indexes.get(size.collection)
            rows.append(
                {
                    "collection": size.collection.name,
                    "passages_in_sql": size.num_passages,
                    "passages_in_index": len(index),
                    "change_id": index.change_id,
                    "kind": "exact",
                    "folder": str(index.folder),
                }
            )
    if as_json:
        print_json({"indexes": rows})
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


@app.command()
def rebuild(
    context: typer.Context,
    collection: Annotated[str, typer.Option(help="Which collection.")] = "default",
    as_json: JsonOption = False,
) -> None:
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
        console().print(f"{collection}: {num_passages} passages indexed")
