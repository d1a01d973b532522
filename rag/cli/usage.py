"""``rag usage``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from rag.cli.output import console, note, plain, print_json, print_table
from rag.cli.state import open_database


def usage(
    context: typer.Context,
    days: Annotated[int, typer.Option(help="How many days.", min=1)] = 30,
    until: Annotated[
        datetime | None, typer.Option(help="The last of them, UTC; today if not given.", formats=["%Y-%m-%d"])
    ] = None,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    model: Annotated[str | None, typer.Option(help="Only answers of this model.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Questions, answers, latency, scores and feedback by day, and what has changed since as many days before.

    Shares are compared by the two-proportion z test, values by the Mann-Whitney U test, with all p-values adjusted by
    Holm's method. What is significant and not small is marked as drift.
    """
    from rag.api.review_schemas import UsageResponse
    from rag.review.usage_report import last_days, usage_report

    period = last_days(days, until=(until or datetime.now(UTC)).date())
    with open_database(context) as database:
        report = usage_report(database, period, collection=collection, model=model)
    if as_json:
        print_json(UsageResponse.from_report(period, report).model_dump(mode="json"))
        return
    if not report.days:
        note(f"Nothing was asked from {period.first} to {period.last}.")
    else:
        print_table(
            ["day", "collection", "model", "questions", "answered", "confidence", "p50 ms", "p95 ms", "up", "down"],
            [
                [d.day, d.collection, d.model, d.num_questions, f"{d.answer_rate:.0%}", f"{d.mean_confidence:.2f}"]
                + [_number(d.p50_ms), _number(d.p95_ms), d.num_thumbs_up, d.num_thumbs_down]
                for d in report.days
            ],
        )
    console().print(plain(f"since {period.before.first} to {period.before.last}:"))
    print_table(
        ["measure", "before", "after", "of", "test", "adjusted p", ""],
        [
            [d.measure, _number(d.before), _number(d.after), f"{d.num_before}, {d.num_after}", d.test]
            + ["too few" if d.adjusted_p_value is None else f"{d.adjusted_p_value:.3g}", "drift" if d.drifted else ""]
            for d in report.drift
        ],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
