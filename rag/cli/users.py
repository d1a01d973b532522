"""``rag users``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.output import Counter, console, note, open_output, plain, print_json, require_folder_of
from rag.cli.state import open_database, operator

app = typer.Typer(help="What is kept of a person.", no_args_is_help=True)
UserId = Annotated[str, typer.Argument(help="The user's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def export(
    context: typer.Context,
    user: UserId,
    output: Annotated[Path | None, typer.Option(help="Write to this file, not to standard output.")] = None,
) -> None:
    """All that is kept of a person, as JSON Lines: answers with all that was logged, feedback, keys, audit events."""
    from rag.store.audit import put_audit_event
    from rag.store.personal_records import count_person, records_of_person

    require_folder_of(output)
    with open_database(context) as database:
        with database.read() as session:
            count_person(session, user)
        with database.write() as session:
            put_audit_event(session, operator(), "user.export", target=user)
        num_records = 0
        with database.read() as session, open_output(output) as file:
            for record in records_of_person(session, user):
                file.write(json.dumps(record, ensure_ascii=False, default=_plain).encode() + b"\n")
                num_records += 1
    note(f"{num_records} records of {user}" + (f" written to {output}" if output else ""))


@app.command()
def erase(
    context: typer.Context,
    user: UserId,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Keep scores and timings of the answers, without words.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, this only says what it would do.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a person out of all that is kept. Nothing is changed without --yes."""
    from rag.store.personal_records import count_person, erase_person

    with open_database(context) as database:
        with database.read() as session:
            counts = count_person(session, user)
        if yes:
            with Counter("answers", total=counts.num_answers) as counter:
                erase_person(
                    database,
                    user,
                    mode="anonymise" if anonymise else "delete",
                    caller=operator(),
                    on_progress=counter.show,
                )
    if as_json:
        print_json({"dry_run": not yes, **asdict(counts)})
        return
    kept = ", ".join(
        f"{number} {name.removeprefix('num_').replace('_', ' ')}" for name, number in asdict(counts).items() if number
    )
    console().print(plain(f"{user}: {kept or 'no more than the name'}: {'erased' if yes else 'would be erased'}"))
    if not yes:
        note("nothing was changed; --yes does it")


def _plain(value: object) -> object:
    """What JSON has no form for: sets as lists, moments as text."""
    return sorted(value) if isinstance(value, frozenset) else str(value)
