"""``rag index reembed``, ``generations`` and ``drop``: collections and the models that they are embedded with."""

from dataclasses import asdict
from typing import Annotated

import typer

from rag.cli.output import Counter, console, note, print_json, print_table
from rag.cli.state import open_database, settings_of

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CollectionOption = Annotated[str, typer.Option(help="Which collection.")]


def reembed(
    context: typer.Context,
    model: Annotated[
        str, typer.Option(help="A sentence-transformers name or folder on this machine, or registry:NAME@VERSION.")
    ],
    collection: CollectionOption = "default",
    drop_previous: Annotated[
        bool, typer.Option("--drop-previous", help="Delete the former vectors afterwards; without it they are kept.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Embed a collection anew with another model, while the present one answers; then search by the new one at once.

    After a kill the same command goes on where it stopped.
    """
    from rag.assemble import Rag

    with Rag(settings_of(context)) as service, Counter("passages") as counter:
        done = service.reembed(
            model,
            collection=collection,
            keep_previous=not drop_previous,
            on_progress=lambda num_done, total: counter.show(num_done, total=total),
        )
    if as_json:
        print_json(asdict(done))
    else:
        kept = "kept" if done.previous_kept else "dropped"
        console().print(
            f"{collection}: {done.num_embedded} passages embedded ({done.num_passages_reused} reused), "
            f"searched by {done.embedding_model} now; "
            f"{done.previous_model} {kept}",
            markup=False,
        )


def generations(context: typer.Context, collection: CollectionOption = "default", as_json: JsonOption = False) -> None:
    """The models that a collection is or was embedded with, and how far each is."""
    from rag.store.collections import get_collection
    from rag.store.embedding_generations import list_generations

    with open_database(context) as database, database.read() as session:
        found = list_generations(session, get_collection(session, collection).id)
    if as_json:
        print_json({"generations": [asdict(generation) for generation in found]})
    else:
        print_table(
            ["embedding model", "status", "embedded", "of passages", "since"],
            [
                [
                    g.embedding_model,
                    g.status,
                    g.num_embedded,
                    g.num_passages,
                    f"{g.activated_at or g.created_at:%Y-%m-%d %H:%M}",
                ]
                for g in found
            ],
        )


def drop(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Whose vectors to delete; not the one that is searched.")],
    collection: CollectionOption = "default",
) -> None:
    """Delete the vectors of a generation that is not searched."""
    from rag.assemble import Rag
    from rag.store.embedding_generations import drop_generation

    with Rag(settings_of(context)) as service:
        found = service.collection(collection)
        with service.database.write() as session:
            drop_generation(session, found.id, model)
        service.indexes.forget(found, embedding_model=model)
    note(f"{collection}: the vectors of {model} are gone")
