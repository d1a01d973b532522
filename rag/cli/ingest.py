"""``rag ingest``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rag.api.name_values import parse_name_values
from rag.cli.output import Counter, print_json, print_table
from rag.cli.state import settings_of
from rag.cli.wording import short_source
from rag.errors import InvalidInput

if TYPE_CHECKING:
    from rag.ingest.report import IngestionProgress, IngestionReport

REFUSED = 3

_TEXT_FIELD_HELP = "Of JSON and JSONL records: the field that holds the text; records without it are refused."
_ID_FIELD_HELP = "Of JSON and JSONL records: the field that names a record in its source, in place of its row."
_SQL_HELP = (
    "Instead of PATHS: a database to read rows from, such as sqlite:////data/shop.db or postgresql://host/shop. It is "
    "only read. Leave the password to PGPASSWORD or ~/.pgpass."
)
_QUERY_HELP = "With --sql: one SELECT. Each row becomes a document; rows that it gives no longer are removed."
_TEXT_COLUMN_HELP = "With --sql: what holds the text; without it the text is the whole row."


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders.")] = None,
    collection: Annotated[str, typer.Option(help="Where the documents go; made if it is not there.")] = "default",
    tag: Annotated[list[str] | None, typer.Option(help="name=value; may be given several times.")] = None,
    origin: Annotated[str, typer.Option(help="real or synthetic.")] = "real",
    access_label: Annotated[
        list[str] | None,
        typer.Option("--access-label", help="Who holds it may see the documents; may be given several times."),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Take away the access labels of documents that have some.")
    ] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove documents whose files are gone from PATHS.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    text_field: Annotated[str | None, typer.Option(help=_TEXT_FIELD_HELP)] = None,
    title_field: Annotated[str | None, typer.Option(help="Of JSON and JSONL records.")] = None,
    id_field: Annotated[str | None, typer.Option(help=_ID_FIELD_HELP)] = None,
    sql: Annotated[str | None, typer.Option(metavar="URL", help=_SQL_HELP)] = None,
    query: Annotated[str | None, typer.Option(metavar="SELECT", help=_QUERY_HELP)] = None,
    id_column: Annotated[str, typer.Option(help="With --sql: what tells rows apart.")] = "id",
    title_column: Annotated[str | None, typer.Option(help="With --sql.")] = None,
    text_column: Annotated[str | None, typer.Option(help=_TEXT_COLUMN_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read files or the rows of a query, drop duplicates, split, embed and index.

    Read are text, Markdown, reStructuredText, HTML, PDF, DOCX, PPTX, XLSX, CSV, JSON, JSONL, e-mail (.eml), and ZIP
    archives of these. Unchanged files are skipped, changed ones replace their passages. A file that cannot be read is
    reported and does not stop the run; the exit status is then 3. What is lost of a file that is read is reported too.
    """
    from rag.assemble import Rag

    tags, checked_origin = parse_name_values(tag or [], field="--tag"), _checked_origin(origin)
    access_labels = access_label or ([] if open_to_all else None)
    _check_source(paths, sql=sql, query=query, is_for_files=prune or dry_run)
    with Rag(settings_of(context)) as service, Counter("passages" if sql else "files") as counter:
        if sql is not None and query is not None:
            report = service.ingest_sql(
                sql,
                query,
                collection=collection,
                tags=tags,
                origin=checked_origin,
                access_labels=access_labels,
                id_column=id_column,
                title_column=title_column,
                text_column=text_column,
                on_progress=lambda progress: counter.show(progress.num_passages, current=progress.current),
            )
        else:
            report = service.ingest(
                *(paths or []),
                collection=collection,
                tags=tags,
                origin=checked_origin,
                access_labels=access_labels,
                prune=prune,
                dry_run=dry_run,
                text_field=text_field,
                title_field=title_field,
                id_field=id_field,
                on_progress=lambda progress: _show_files(counter, progress),
            )
    finish(report, what="dry run" if dry_run else "documents", as_json=as_json)


def finish(report: "IngestionReport", *, what: str, as_json: bool) -> None:
    """Print what became of a run, and exit with status 3 where something was refused."""
    from rag.api.ingestion_schemas import IngestionReportResponse

    if as_json:
        print_json(IngestionReportResponse.from_record(report).model_dump(mode="json"))
    else:
        print_table([what, ""], _rows(report))
    if report.num_refused:
        raise typer.Exit(REFUSED)


def _checked_origin(origin: str) -> Literal["real", "synthetic"]:
    if origin == "real":
        return "real"
    if origin == "synthetic":
        return "synthetic"
    raise InvalidInput(f"The origin {origin!r} is unknown; it is real or synthetic.")


def _show_files(counter: Counter, progress: "IngestionProgress") -> None:
    current = f"{progress.num_passages} passages · {progress.current}"
    counter.show(progress.num_files_done, total=progress.num_files, current=current)


def _check_source(paths: list[Path] | None, *, sql: str | None, query: str | None, is_for_files: bool) -> None:
    if sql is None and query is None:
        if not paths:
            raise InvalidInput("There is nothing to ingest; name files or folders, or --sql and --query.")
    elif sql is None or query is None:
        raise InvalidInput("--sql and --query belong together.")
    elif paths or is_for_files:
        raise InvalidInput("PATHS, --prune and --dry-run are for files; leave them out with --sql.")


def _rows(report: "IngestionReport") -> list[list[str]]:
    num_partly_read = len({lost.source for lost in report.partly_read})
    return [
        ["added", str(report.num_added)],
        ["updated", str(report.num_updated)],
        ["unchanged", str(report.num_unchanged)],
        ["exact duplicates", str(report.num_exact_duplicates)],
        *([f"  {short_source(pair.source)}", f"of {short_source(pair.of)}"] for pair in report.exact_duplicates),
        ["near duplicates", str(report.num_near_duplicates)],
        *([f"  {short_source(pair.source)}", f"of {short_source(pair.of)}"] for pair in report.near_duplicates),
        ["refused", str(report.num_refused)],
        *([f"  {short_source(refused.source)}", refused.reason] for refused in report.refused),
        *([["partly read", str(num_partly_read)]] if num_partly_read else []),
        *([f"  {short_source(lost.source)}", lost.reason] for lost in report.partly_read),
        ["removed", str(report.num_removed)],
        ["moved", str(report.num_moved)],
        ["real", str(report.num_real)],
        ["synthetic", str(report.num_synthetic)],
        ["passages", str(report.num_passages)],
        ["passages/s", f"{report.passages_per_second:.1f}"],
        ["seconds", f"{report.seconds:.1f}"],
    ]
