"""``rag ingest``."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rag.api.name_values import parse_name_values
from rag.cli.ingestion_report import finish, print_status
from rag.cli.output import Counter, note
from rag.cli.state import open_database, settings_of
from rag.errors import InvalidInput

if TYPE_CHECKING:
    from rag.assemble import Rag
    from rag.ingest.file_options import EngineName, FileOptions
    from rag.ingest.report import IngestionProgress, IngestionReport
    from rag.ingest.sql_rows import ColumnNames

_SQL_HELP = (
    "Instead of PATHS: a database to read rows from, such as sqlite:////data/shop.db or postgresql://host/shop. It is "
    "only read. Leave the password to PGPASSWORD or ~/.pgpass."
)
_QUERY_HELP = "With --sql: one SELECT. Each row becomes a document; rows that it gives no longer are removed."
_WORKERS_HELP = (
    "Processes that read files; 0: a thread of this one. With --engine ray: pieces of work done at once; 0: one for "
    "each processor of the cluster."
)
_ENGINE_HELP = (
    "local, or ray: files are read, split and embedded by the workers of a Ray cluster; what becomes of them is "
    "decided and stored here."
)
_ADDRESS_HELP = "With --engine ray: its cluster; without it, one of this machine alone is started for the run."

TagOption = Annotated[list[str] | None, typer.Option(help="name=value; may be given several times.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--access-label", help="Who holds it may see the documents; may be given several times."),
]
OpenOption = Annotated[
    bool, typer.Option("--open-to-all", help="Take away the access labels of documents that have some.")
]
PruneOption = Annotated[bool, typer.Option("--prune", help="Remove documents whose files are gone from PATHS.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
WorkersOption = Annotated[int, typer.Option(help=_WORKERS_HELP, min=0, max=64)]
EngineOption = Annotated[str, typer.Option(help=_ENGINE_HELP)]
AddressOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help=_ADDRESS_HELP)]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Stop with an error where another run over the collection is at work.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the last run over files that did not finish, as it was called.")
]
StatusOption = Annotated[bool, typer.Option("--status", help="Say how far the last run over files is; read nothing.")]
WatchOption = Annotated[
    bool,
    typer.Option("--watch", help="Then go on as long as this runs: files that change are read, removed ones leave."),
]
TextFieldOption = Annotated[
    str | None,
    typer.Option(help="Of JSON and JSONL records: the field that holds the text; records without it are refused."),
]
IdFieldOption = Annotated[
    str | None,
    typer.Option(help="Of JSON and JSONL records: the field that names a record in its source, in place of its row."),
]
TextColumnOption = Annotated[
    str | None, typer.Option(help="With --sql: what holds the text; without it the text is the whole row.")
]


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders.")] = None,
    collection: Annotated[str, typer.Option(help="Where the documents go; made if it is not there.")] = "default",
    tag: TagOption = None,
    origin: Annotated[str, typer.Option(help="real or synthetic.")] = "real",
    access_label: LabelOption = None,
    open_to_all: OpenOption = False,
    prune: PruneOption = False,
    dry_run: DryRunOption = False,
    workers: WorkersOption = 0,
    engine: EngineOption = "local",
    address: AddressOption = None,
    no_wait: NoWaitOption = False,
    resume: ResumeOption = False,
    status: StatusOption = False,
    watch: WatchOption = False,
    text_field: TextFieldOption = None,
    title_field: Annotated[str | None, typer.Option(help="Of JSON and JSONL records.")] = None,
    id_field: IdFieldOption = None,
    sql: Annotated[str | None, typer.Option(metavar="URL", help=_SQL_HELP)] = None,
    query: Annotated[str | None, typer.Option(metavar="SELECT", help=_QUERY_HELP)] = None,
    id_column: Annotated[str, typer.Option(help="With --sql: what tells rows apart.")] = "id",
    title_column: Annotated[str | None, typer.Option(help="With --sql.")] = None,
    text_column: TextColumnOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read files or the rows of a query, drop duplicates, split, embed and index.

    Read are text, Markdown, reStructuredText, HTML, PDF, DOCX, PPTX, XLSX, CSV, JSON, JSONL, e-mail (.eml), and ZIP
    archives of these. Unchanged files are skipped, changed ones replace their passages. A file that cannot be read is
    reported and does not stop the run; the exit status is then 3. What is lost of a file that is read is reported too.
    """
    from rag.ingest.file_options import FileOptions
    from rag.ingest.sql_rows import ColumnNames

    if status:
        with open_database(context) as database:
            print_status(database, collection, as_json=as_json)
        return
    options = FileOptions(
        tags=parse_name_values(tag or [], field="--tag"),
        origin=_checked_origin(origin),
        access_labels=access_label or ([] if open_to_all else None),
        prune=prune,
        text_field=text_field,
        title_field=title_field,
        id_field=id_field,
        engine=_checked_engine(engine, address),
        address=address,
        workers=workers,
    )
    columns = ColumnNames(id=id_column, title=title_column, text=text_column)
    _check_call(paths, options, sql=sql, query=query, dry_run=dry_run, resume=resume, watch=watch)
    given = [path.absolute() for path in paths or []]
    work = _work(given, (sql, query), options, columns, collection, dry_run=dry_run, wait=not no_wait, resume=resume)
    _run(context, work, what="dry run" if dry_run else "documents", as_json=as_json, quiet=watch)
    if watch:
        _watch(context, given, options, collection)


Work = Callable[["Rag", Counter], "IngestionReport"]


def _work(
    paths: Sequence[Path],
    rows: tuple[str | None, str | None],
    options: "FileOptions",
    columns: "ColumnNames",
    collection: str,
    *,
    dry_run: bool,
    wait: bool,
    resume: bool,
) -> Work:
    sql, query = rows

    def work(service: "Rag", counter: Counter) -> "IngestionReport":
        def show(progress: "IngestionProgress") -> None:
            current = f"{progress.num_passages} passages · {progress.current}"
            counter.show(progress.num_files_done, total=progress.num_files, current=current)

        if resume:
            return service.resume_ingestion(collection=collection, wait=wait, on_progress=show)
        if sql is None or query is None:
            return service.ingest(
                *paths,
                options=options,
                collection=collection,
                dry_run=dry_run,
                wait=wait,
                on_wait=_say_waiting,
                on_progress=show,
            )
        return service.ingest_sql(
            sql,
            query,
            columns=columns,
            labels=options.labels,
            collection=collection,
            dry_run=dry_run,
            on_progress=lambda progress: counter.show(progress.num_passages, current=progress.current),
        )

    return work


def _run(context: typer.Context, work: Work, *, what: str, as_json: bool, quiet: bool) -> None:
    from rag.assemble import Rag

    with Rag(settings_of(context)) as service, Counter("files") as counter:
        report = work(service, counter)
    finish(report, what=what, as_json=as_json, exits=not quiet)


def _watch(context: typer.Context, paths: Sequence[Path], options: "FileOptions", collection: str) -> None:
    from rag.assemble import Rag
    from rag.ingest.watching import changed_files

    note("watching; stop with Ctrl-C")
    later = replace(options, prune=False)
    if options.engine == "ray":  # a few files are read here before a cluster could be started for them
        later = replace(later, engine="local", address=None, workers=0)
    with Rag(settings_of(context)) as service:
        for changed, gone in changed_files(paths):
            if gone:
                num_removed = service.remove_files(gone, collection=collection)
                note(f"{num_removed} documents of removed files left")
            if changed:
                report = service.ingest(*changed, options=later, collection=collection)
                finish(report, what="documents", as_json=False, exits=False)


def _say_waiting() -> None:
    note("another run over this collection is at work; waiting for it")


def _checked_origin(origin: str) -> Literal["real", "synthetic"]:
    if origin == "real":
        return "real"
    if origin == "synthetic":
        return "synthetic"
    raise InvalidInput(f"The origin {origin!r} is unknown; it is real or synthetic.")


def _checked_engine(engine: str, address: str | None) -> "EngineName":
    if engine == "ray":
        return "ray"
    if engine != "local":
        raise InvalidInput(f"The engine {engine!r} is unknown; it is local or ray.")
    if address is not None:
        raise InvalidInput("--address is that of a Ray cluster; add --engine ray.")
    return "local"


def _check_call(
    paths: list[Path] | None,
    options: "FileOptions",
    *,
    sql: str | None,
    query: str | None,
    dry_run: bool,
    resume: bool,
    watch: bool,
) -> None:
    is_on_ray = options.engine == "ray"
    is_for_files = options.prune or watch or is_on_ray
    if resume and (paths or sql or query or dry_run or is_for_files):
        raise InvalidInput("--resume goes on as the run was called; leave the rest out.")
    if not resume:
        _check_source(paths, sql=sql, query=query, is_for_files=is_for_files)
    if watch and dry_run:
        raise InvalidInput("--watch writes what changes; leave --dry-run out.")
    if is_on_ray and dry_run:
        raise InvalidInput("--dry-run reads in this process; leave --engine ray out.")


def _check_source(paths: list[Path] | None, *, sql: str | None, query: str | None, is_for_files: bool) -> None:
    if sql is None and query is None:
        if not paths:
            raise InvalidInput("There is nothing to ingest; name files or folders, or --sql and --query.")
    elif sql is None or query is None:
        raise InvalidInput("--sql and --query belong together.")
    elif paths or is_for_files:
        raise InvalidInput("PATHS, --prune, --watch and --engine ray are for files; leave them out with --sql.")
