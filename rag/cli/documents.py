"""``rag documents``."""

from typing import Annotated

import typer

from rag.api.name_values import parse_filters
from rag.cli.looking import CallerLabelOption, FilterOption, caller_with
from rag.cli.output import console, note, plain, print_json, print_table
from rag.cli.state import open_database, settings_of
from rag.cli.wording import short_source

app = typer.Typer(help="What is in a collection.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_some(
    context: typer.Context,
    collection: Annotated[str, typer.Option(help="Which collection.")] = "default",
    filter_: FilterOption = None,
    access_label: CallerLabelOption = None,
    after: Annotated[int, typer.Option(help="Continue after this document id.")] = 0,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Documents by id."""
    from rag.api.schemas import DocumentListResponse, DocumentResponse
    from rag.store.collections import get_collection
    from rag.store.documents import list_documents

    filters = parse_filters(filter_ or [], field="--filter")
    with open_database(context) as database, database.read() as session:
        found = get_collection(session, collection)
        documents = list_documents(
            session, found.id, filters=filters, caller=caller_with(access_label), after_id=after, limit=limit + 1
        )
    documents, more = documents[:limit], len(documents) > limit
    if as_json:
        page = DocumentListResponse(
            documents=[DocumentResponse.from_record(document, collection=collection) for document in documents],
            next_after_id=documents[-1].id if more else None,
        )
        print_json(page.model_dump(mode="json"))
    elif not documents:
        note(f"No document of {collection!r} to show; `rag ingest PATH` puts some there.")
    else:
        print_table(
            ["id", "version", "title", "origin", "access labels", "duplicate of", "source"],
            [
                [d.id, d.version, d.title, d.origin, ", ".join(d.access_labels), d.duplicate_of, short_source(d.source)]
                for d in documents
            ],
        )


@app.command()
def show(
    context: typer.Context,
    document_id: Annotated[int, typer.Argument(help="Its id.")],
    version: Annotated[int | None, typer.Option(help="Which version; the current one if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """One document with its text."""
    from rag.api.schemas import DocumentTextResponse
    from rag.store.collections import get_collection_by_id
    from rag.store.documents import get_document

    with open_database(context) as database, database.read() as session:
        found = get_document(session, document_id, version=version)
        collection = get_collection_by_id(session, found.document.collection_id).name
    if as_json:
        print_json(DocumentTextResponse.from_record(found, collection=collection).model_dump(mode="json"))
    else:
        source = short_source(found.document.source)
        note(f"{found.title} · version {found.version} of {found.document.version} · {source}")
        console().print(plain(found.text))


@app.command()
def delete(
    context: typer.Context, document_id: Annotated[int, typer.Argument(help="Its id.")], as_json: JsonOption = False
) -> None:
    """Take a document out of search. Its versions stay, so that answers that cite it can be checked."""
    from rag.assemble import Rag

    with Rag(settings_of(context)) as service:
        service.ingester.remove(document_id)
    if as_json:
        print_json({"deleted": document_id})
    else:
        console().print(f"document {document_id} deleted")
