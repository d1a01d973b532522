"""``rag export``."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from rag.cli.output import console, note, open_output, plain, print_json
from rag.cli.state import open_database, operator

if TYPE_CHECKING:
    from rag.review.training_file import TrainingFile

app = typer.Typer(help="Take out what the log has taught.", no_args_is_help=True)


@app.callback()
def export() -> None:
    """Take out what the log has taught."""


@app.command()
def training(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="The file to write.")],
    collection: Annotated[str | None, typer.Option(help="Only answers from this collection.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only answers from this moment on, UTC.")] = None,
    origin: Annotated[str | None, typer.Option(help="Only passages of this origin: real or synthetic.")] = None,
    with_thumbs: Annotated[
        bool, typer.Option("--with-thumbs", help="Where no reviewer has judged, take what askers said.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write reviewed answers as training data in SQuAD format, for `rag train reader` and `rag evaluate qa`.

    Confirmed and corrected answers are found in the passages that were read; confirmed abstentions are questions
    without an answer. What cannot be found is listed, and left out.
    """
    from rag.errors import InvalidInput
    from rag.records import Origin
    from rag.review.training_file import training_file
    from rag.store.answers import get_answer
    from rag.store.audit import audit_reading
    from rag.store.reviews import judged_answer_ids

    if origin is not None and origin not in get_args(Origin):
        raise InvalidInput(f"The origin {origin!r} is unknown; it is real or synthetic.")
    moment = None if since is None else since.replace(tzinfo=since.tzinfo or UTC)
    with open_database(context) as database, database.read() as session:
        ids = judged_answer_ids(session, collection=collection, since=moment, with_thumbs=with_thumbs)
        audit_reading(database, operator(), "answer.list", ids)
        made = training_file(
            (get_answer(session, answer_id) for answer_id in ids),
            with_thumbs=with_thumbs,
            origin=origin,  # type: ignore[arg-type]
        )
    if not made.num_questions:
        raise InvalidInput(
            f"Of {len(ids)} judged answers none gives training data; "
            "`rag answers rate ID up --review` or `--corrected-answer WORDS --review` makes some."
        )
    with open_output(output) as file:
        file.write(json.dumps(made.squad, ensure_ascii=False, indent=1).encode() + b"\n")
    _print(made, output, as_json=as_json)


def _print(made: "TrainingFile", output: Path, *, as_json: bool) -> None:
    if as_json:
        figures = asdict(made)
        del figures["squad"]
        print_json({"output": str(output), "num_questions": made.num_questions, **figures})
        return
    console().print(
        plain(
            f"{made.num_questions} questions: {made.num_confirmed} confirmed, {made.num_corrected} corrected, "
            f"{made.num_unanswerable} without an answer; {made.num_real} real, {made.num_synthetic} synthetic"
        )
    )
    for each in made.left_out:
        note(f"answer {each.answer_id} is left out. {each.reason} ({each.question})")
