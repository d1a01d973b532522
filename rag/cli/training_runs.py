"""``rag train runs``: the record of training runs, and their curves as a picture."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.output import note, print_json, print_table, write_file
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database

if TYPE_CHECKING:
    from rag.store.training_runs import Curves, TrainingRunRecord


def runs(
    context: typer.Context,
    run_id: Annotated[int | None, typer.Argument(help="Show this run instead of the list.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the run's loss curves to this SVG file.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="What to plot instead of the losses; repeatable.")] = None,
    kind: Annotated[str | None, typer.Option(help="List only runs of this kind.")] = None,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="List at most so many.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Training runs, newest first, or all that is known of one.

    A run that was killed stays "running" with the step and the moment of its last report.
    """
    from rag.api.paging import cut_page, read_cursor
    from rag.errors import InvalidInput
    from rag.store.training_runs import get_training_run, list_training_runs, training_curves

    if run_id is None:
        if plot is not None:
            raise InvalidInput("--plot needs the id of a run: rag train runs ID --plot FILE.svg.")
        before = read_cursor(cursor, "training runs", first=0) or None
        with open_database(context) as database, database.read() as session:
            records = list_training_runs(session, kind=kind, before_id=before, limit=limit + 1)
        records, following = cut_page(records, "training runs", limit=limit, key=lambda record: record.id)
        _print_list(records, following, as_json=as_json)
        return
    with open_database(context) as database, database.read() as session:
        record, curves = get_training_run(session, run_id), training_curves(session, run_id)
    if plot is not None:
        _write_plot(plot, record, curves, metric)
    if as_json:
        print_json({**_as_json(record), "curves": curves})
    else:
        _print_run(record, curves)


def _print_list(records: "list[TrainingRunRecord]", following: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"runs": [_as_json(record) for record in records], "next": following})
        return
    if not records:
        note("No training run to show.")
        return
    print_table(
        ["id", "kind", "status", "step", "started at", "last report", "scores"],
        [
            [
                record.id,
                record.kind,
                record.status,
                f"{record.step} of {record.num_steps}",
                f"{record.started_at:%Y-%m-%d %H:%M}",
                f"{record.reported_at:%Y-%m-%d %H:%M}",
                ", ".join(f"{name} {_number(value)}" for name, value in (record.scores or {}).items()),
            ]
            for record in records
        ],
    )
    note_next(following)


def _print_run(record: "TrainingRunRecord", curves: "Curves") -> None:
    rows = [[name, value] for name, value in _flat(_as_json(record)).items() if value is not None]
    rows += [[f"last {name}", _number(points[-1][1])] for name, points in curves.items()]
    print_table(["what", "value"], rows)


def _write_plot(path: Path, record: "TrainingRunRecord", curves: "Curves", metrics: list[str] | None) -> None:
    from rag.errors import InvalidInput
    from rag.training.curve_plot import plot_svg

    wanted = metrics or [name for name in ("loss", "validation_loss") if name in curves] or list(curves)
    unknown = [name for name in wanted if name not in curves]
    if unknown:
        known = ", ".join(curves) or "none"
        raise InvalidInput(f"Run {record.id} has no curve {unknown[0]!r}; it has: {known}.")
    labels = {name.removeprefix("validation_") for name in wanted}
    picture = plot_svg(
        {name: curves[name] for name in wanted},
        title=f"Training run {record.id}: {record.kind}, {record.status}",
        x_label="step",
        y_label=labels.pop() if len(labels) == 1 else "value",
    )
    write_file(path, picture, what="curves")


def _as_json(record: "TrainingRunRecord") -> dict[str, Any]:
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in asdict(record).items()
    }


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif name == "data_files":
            flat |= {f"data {file['path']}": f"sha256 {file['sha256']}, {file['num_bytes']} bytes" for file in value}
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
