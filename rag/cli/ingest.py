"""``rag ingest``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.api.name_values import parse_name_values
from rag.cli.output import Counter, print_json, print_table
from rag.cli.state import settings_of
from rag.cli.wording import short_source

if TYPE_CHECKING:
    from rag.ingest.report import IngestionReport

REFUSED = 3


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read files, drop duplicates, split, embed and index.

    Unchanged files are skipped, changed ones replace their passages. A file that cannot be read is reported and does
    not stop the run; the exit status is then 3.
    """
    from rag.assemble import Rag
    from rag.errors import InvalidInput

    if origin not in ("real", "synthetic"):
        raise InvalidInput(f"The origin {origin!r} is unknown; it is real or synthetic.")
    tags = parse_name_values(tag or [], field="--tag")
    with Rag(settings_of(context)) as service, Counter("files") as counter:
        report = service.ingest(
            *paths,
            collection=collection,
            tags=tags,
            origin="real" if origin == "real" else "synthetic",
            access_labels=access_label or ([] if open_to_all else None),
            prune=prune,
            dry_run=dry_run,
            on_progress=lambda progress: counter.show(
                progress.num_files_done,
                total=progress.num_files,
                current=f"{progress.num_passages} passages · {progress.current}",
            ),
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


def _rows(report: "IngestionReport") -> list[list[str]]:
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
        ["removed", str(report.num_removed)],
        ["real", str(report.num_real)],
        ["synthetic", str(report.num_synthetic)],
        ["passages", str(report.num_passages)],
        ["passages/s", f"{report.passages_per_second:.1f}"],
        ["seconds", f"{report.seconds:.1f}"],
    ]
