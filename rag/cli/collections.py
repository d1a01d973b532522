"""``rag collections``."""

from typing import Annotated

import typer

from rag.cli.output import note, print_json, print_table
from rag.cli.state import open_database

app = typer.Typer(help="Named bodies of documents.", no_args_is_help=True)


@app.command("list")
def list_all(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """All collections with what they hold."""
    from rag.api.collection_schemas import CollectionListResponse, CollectionResponse
    from rag.store.collections import list_collections

    with open_database(context) as database, database.read() as session:
        sizes = list_collections(session)
    if as_json:
        found = CollectionListResponse(collections=[CollectionResponse.from_record(size) for size in sizes])
        print_json(found.model_dump(mode="json"))
    elif not sizes:
        note("There is no collection yet; `rag ingest PATH` makes one.")
    else:
        print_table(
            ["collection", "embedding model", "documents", "real", "synthetic", "passages"],
            [
                [s.collection.name, s.collection.embedding_model]
                + [s.num_documents, s.num_real, s.num_synthetic, s.num_passages]
                for s in sizes
            ],
        )
