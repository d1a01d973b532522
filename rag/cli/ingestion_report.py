"""What became of an ingestion run, for people and as JSON; and how far one is that may still run."""

from typing import TYPE_CHECKING

import typer

from rag.cli.output import print_json, print_table
from rag.cli.wording import short_source

if TYPE_CHECKING:
    from rag.ingest.report import IngestionReport
    from rag.store.database import Database

REFUSED = 3


def finish(report: "IngestionReport", *, what: str, as_json: bool, exits: bool = True) -> None:
    """Print what became of a run, and exit with status 3 where something was refused; not if ``exits`` is false."""
    from rag.api.ingestion_schemas import IngestionReportResponse

    if as_json:
        print_json(IngestionReportResponse.from_record(report).model_dump(mode="json"))
    else:
        print_table([what, ""], _rows(report))
    if report.num_refused and exits:
        raise typer.Exit(REFUSED)


def print_status(database: "Database", collection: str, *, as_json: bool) -> None:
    """How far the last run over files of a collection is: what became of the documents, and of each kind of file."""
    from dataclasses import asdict

    from rag.store.collections import get_collection
    from rag.store.runs import count_files, last_run_over_files

    with database.read() as session:
        run = last_run_over_files(session, get_collection(session, collection).id)
        files = count_files(session, run.id)
    if as_json:
        print_json({**asdict(run), "files": files})
        return
    total, waiting = sum(files.values()), files.get("waiting", 0)
    print_table(
        [f"run {run.id}", run.status],
        [
            ["started at", f"{run.started_at:%Y-%m-%d %H:%M:%S}"],
            ["finished at", f"{run.finished_at:%Y-%m-%d %H:%M:%S}" if run.finished_at else ""],
            ["files done", f"{total - waiting} of {total}"],
            *([f"  {status}", str(number)] for status, number in sorted(files.items())),
            *([name.removeprefix("num_").replace("_", " "), str(value)] for name, value in asdict(run.counts).items()),
        ],
    )


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
        ["passages reused", str(report.num_passages_reused)],
        ["passages/s", f"{report.passages_per_second:.1f}"],
        ["seconds", f"{report.seconds:.1f}"],
    ]
