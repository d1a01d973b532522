"""``rag documents``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from rag.api.name_values import parse_filters
from rag.cli.ingestion_report import finish
from rag.cli.looking import CallerLabelOption, FilterOption, caller_with
from rag.cli.output import Counter, console, note, open_output, plain, print_json, print_table
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database, operator, settings_of
from rag.cli.wording import short_source, synthetic

if TYPE_CHECKING:
    from rag.store.documents import StoredDocument
    from rag.store.erasure import Remains

app = typer.Typer(help="What is in a collection.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
STANDARD_STREAM = "-"
SHOWN_IDS = 20
SHOWN_CHARS = 60
"""Of the words of a passage, as many as fit a line beside the rest."""


@app.command("list")
def list_some(
    context: typer.Context,
    collection: Annotated[str, typer.Option(help="Which collection.")] = "default",
    filter_: FilterOption = None,
    access_label: CallerLabelOption = None,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Documents by id."""
    from rag.api.paging import cut_page, read_cursor
    from rag.api.schemas import DocumentListResponse, DocumentResponse
    from rag.store.collections import get_collection
    from rag.store.documents import list_documents

    filters = parse_filters(filter_ or [], field="--filter")
    with open_database(context) as database, database.read() as session:
        found = get_collection(session, collection)
        after = read_cursor(cursor, "documents", first=0)
        documents = list_documents(
            session, found.id, filters=filters, caller=caller_with(access_label), after_id=after, limit=limit + 1
        )
    documents, following = cut_page(documents, "documents", limit=limit, key=lambda document: document.id)
    if as_json:
        page = DocumentListResponse(
            documents=[DocumentResponse.from_record(document, collection=collection) for document in documents],
            next=following,
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
        note_next(following)


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
    from rag.store.passages import passage_ranges

    with open_database(context) as database, database.read() as session:
        found = get_document(session, document_id, version=version)
        collection = get_collection_by_id(session, found.document.collection_id).name
        passages = passage_ranges(session, document_id, found.version)
    if as_json:
        shown = DocumentTextResponse.from_record(found, collection=collection, passages=passages)
        print_json(shown.model_dump(mode="json"))
    else:
        source = short_source(found.document.source)
        origin = synthetic(found.document.origin, before=" ")
        note(f"{found.title} · version {found.version} of {found.document.version} · {source}{origin}")
        console().print(plain(found.text))


@app.command()
def repeated(
    context: typer.Context,
    collection: Annotated[str, typer.Option(help="Which collection.")] = "default",
    access_label: CallerLabelOption = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    as_json: JsonOption = False,
) -> None:
    """Passages whose words stand in many documents, such as footers: those in the most documents first."""
    from dataclasses import asdict

    from rag.store.collections import get_collection
    from rag.store.repeated_passages import list_repeated

    with open_database(context) as database, database.read() as session:
        found = get_collection(session, collection)
        passages = list_repeated(session, found.id, caller=caller_with(access_label), limit=limit)
    if as_json:
        print_json({"repeated": [asdict(passage) for passage in passages]})
    elif not passages:
        note(f"No passage of {collection!r} stands in many documents.")
    else:
        print_table(
            ["documents", "passages", "words", "first in"],
            [
                [p.num_documents, p.num_passages, shorten(p.text, SHOWN_CHARS, placeholder="…"), short_source(p.source)]
                for p in passages
            ],
        )


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


@app.command()
def erase(
    context: typer.Context,
    document_id: Annotated[int, typer.Argument(help="Its id.")],
    reason: Annotated[str, typer.Option(help="Kept with the datasets that held it; it must not name the person.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a document for good: its text, all its versions, its name, and its place in every dataset.

    What stays is listed first: logged answers that were shown its words keep them, with their quotes, and so do other
    documents with the same words. Its file stays too, and is read again by the next ingestion of its folder; runs of
    ingestion name it. So do backups, and index snapshots keep its words, without their order, until they are replaced.
    """
    from rag.assemble import Rag
    from rag.store.documents import get_document
    from rag.store.erasure import remains_of

    with open_database(context) as database, database.read() as session:
        document = get_document(session, document_id).document
        remains = remains_of(session, document_id)
    note(f"{document.title} · version {document.version} · {short_source(document.source)}")
    _say_remains(document, remains)
    if not yes:
        _confirm_erasure()
    with Rag(settings_of(context)) as service:
        dataset_ids = service.erase_document(document_id, reason=reason, caller=operator())
    if as_json:
        print_json({"erased": document_id, "dataset_ids": dataset_ids, **asdict(remains)})
    else:
        console().print(f"document {document_id} erased, and taken out of {len(dataset_ids)} datasets")


@app.command("export")
def export_some(
    context: typer.Context,
    collection: Annotated[str, typer.Option(help="Which collection.")] = "default",
    filter_: Annotated[
        list[str] | None, typer.Option("--filter", help="name=value; may be given several times.")
    ] = None,
    output: Annotated[str, typer.Option(help="A file, or - for standard output.")] = "-",
) -> None:
    """Write documents with all that is needed to store them again, as JSON Lines: one document a line."""
    from rag.ingest.document_lines import to_line
    from rag.store.collections import get_collection
    from rag.store.document_texts import iter_current_documents

    filters = parse_filters(filter_ or [], field="--filter")
    num_documents = 0
    with open_database(context) as database, database.read() as session, Counter("documents") as counter:
        found = get_collection(session, collection)
        with open_output(None if output == STANDARD_STREAM else Path(output)) as file:
            for current in iter_current_documents(session, found.id, filters=filters):
                file.write(to_line(current))
                num_documents += 1
                counter.show(num_documents, current=current.document.title)
    if output != STANDARD_STREAM:
        note(f"{num_documents} documents written to {output}")


@app.command("import")
def import_some(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="What rag documents export wrote; - for standard input.")],
    collection: Annotated[str, typer.Option(help="Where the documents go; made if it is not there.")] = "default",
    as_json: JsonOption = False,
) -> None:
    """Store exported documents again. Nothing is removed, and what is there already stays as it is.

    A line that cannot be taken is reported with its number and does not stop the others; the exit status is then 3.
    """
    from rag.assemble import Rag

    with _open_input(file) as (lines, uri), Rag(settings_of(context)) as service, Counter("documents") as counter:
        report = service.import_documents(
            lines,
            uri=uri,
            collection=collection,
            on_progress=lambda progress: counter.show(
                progress.num_documents, current=f"{progress.num_passages} passages · {progress.current}"
            ),
        )
    finish(report, what="documents", as_json=as_json)


def _confirm_erasure() -> None:
    """Ask. Raises InvalidInput: the answer is no, or there is nobody to answer."""
    from rag.errors import InvalidInput

    try:
        typer.confirm("Erase it for good?", abort=True, err=True)
    except typer.Abort as error:
        raise InvalidInput("Nothing was erased; answer y, or give --yes where nobody can be asked.") from error


def _say_remains(document: "StoredDocument", remains: "Remains") -> None:
    answers, copies = remains.answer_ids, remains.document_ids
    note(f"stays: {len(answers)} logged answers that were shown its words{_listed(answers)}")
    note(f"stays: {len(copies)} documents of its collection with the same words{_listed(copies)}")
    note(f"stays: what it was read from, {short_source(document.file)}; the next ingestion of it stores it again")


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in ids[:SHOWN_IDS])
    return f": {shown}{', …' if len(ids) > SHOWN_IDS else ''}" if ids else ""


@contextmanager
def _open_input(name: str) -> Iterator[tuple[BinaryIO, str]]:
    """The lines of a file or of standard input, and the URI under which reports speak of them."""
    from rag.errors import InvalidInput

    if name == STANDARD_STREAM:
        yield sys.stdin.buffer, "stdin:"
        return
    path = Path(name).absolute()
    try:
        lines = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"Cannot read {name}: {error.strerror}.") from error
    with lines:
        yield lines, path.as_uri()
