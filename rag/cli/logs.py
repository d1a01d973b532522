"""``rag logs``."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.output import Counter, console, note, plain, print_json
from rag.cli.state import open_database, operator, settings_of

if TYPE_CHECKING:
    from rag.store.retention import Removal, RemovalCounts

app = typer.Typer(help="How long the log keeps what, and its encryption.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def purge(
    context: typer.Context,
    older_than: Annotated[
        int | None, typer.Option(help="Days; without it, the setting log_retention_days.", min=0)
    ] = None,
    collection: Annotated[str | None, typer.Option(help="Only this collection.")] = None,
    anonymise: Annotated[
        bool | None,
        typer.Option("--anonymise/--delete", help="Keep scores and timings, or nothing. Else: log_retention_mode."),
    ] = None,
    with_evaluations: Annotated[
        bool, typer.Option("--with-evaluations", help="Answers of evaluations as well; their results stay.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, this only says what it would do.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take old answers out of the log, with all that hangs on them. Nothing is changed without --yes."""
    from rag.errors import InvalidInput
    from rag.store.audit import put_audit_event
    from rag.store.retention import Removal, count_removal, remove_answers

    settings = settings_of(context)
    days = settings.log_retention_days if older_than is None else older_than
    if days is None:
        raise InvalidInput("How old must an answer be? Give --older-than DAYS, or set log_retention_days.")
    mode = settings.log_retention_mode if anonymise is None else "anonymise" if anonymise else "delete"
    try:
        before = datetime.now(UTC) - timedelta(days=days)
    except OverflowError as error:
        raise InvalidInput(f"{days} days ago there were no answers; give --older-than fewer days.") from error
    removal = Removal(mode=mode, before=before, collection=collection, with_evaluations=with_evaluations)
    with open_database(context) as database:
        with database.read() as session:
            counts = count_removal(session, removal)
        if yes and counts.num_answers:
            with database.write() as session:
                details = {"mode": mode, "before": before.isoformat(), "num_answers": counts.num_answers}
                put_audit_event(session, operator(), "log.purge", target=collection, details=details)
            with Counter("answers", total=counts.num_answers) as counter:
                remove_answers(database, removal, on_progress=counter.show)
    if as_json:
        print_json({"dry_run": not yes, "mode": mode, "before": before.isoformat(), **asdict(counts)})
        return
    _print_purge(removal, counts, done=yes)


@app.command("rotate-key")
def rotate_key(
    context: typer.Context,
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Decrypt everything instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Encrypt the whole log with the first of its keys, also what is not encrypted yet. Can be killed and run again."""
    from rag.errors import InvalidInput
    from rag.store.encryption import cipher_of
    from rag.store.key_rotation import count_stale, rotate_keys

    with open_database(context, writes_plain=decrypt) as database:
        if not database.encrypts:
            raise InvalidInput("No key is set; `rag logs new-key` prints one for log_keys or log_keys_file.")
        with database.read() as session:
            total, key = count_stale(session), cipher_of(session.get_bind().dialect).current
        with Counter("rows", total=total) as counter:
            num_rows = rotate_keys(database, caller=operator(), on_progress=counter.show)
    if as_json:
        print_json({"key": key, "num_rows": num_rows})
    else:
        how = "decrypted" if key is None else f"encrypted with the key {key}"
        console().print(f"{num_rows} rows {how}")


@app.command("new-key")
def new_key() -> None:
    """Print a new key for log_keys or log_keys_file. It is kept nowhere: without it the log cannot be read."""
    from rag.store import encryption

    words = encryption.new_key()
    note(f"key {encryption.key_id(encryption.parse_keys(words)[0])}; keep it apart from the database and its backups")
    console().print(plain(words))


def _print_purge(removal: "Removal", counts: "RemovalCounts", *, done: bool) -> None:
    if not counts.num_answers:
        note("There is nothing to purge.")
        return
    verb = {"delete": "deleted", "anonymise": "anonymised"}[removal.mode]
    when = f"given from {counts.first_at:%Y-%m-%d} to {counts.last_at:%Y-%m-%d}"
    would = verb if done else f"would be {verb}"
    console().print(plain(f"{counts.num_answers} answers, {when}, with {counts.num_feedback} judgements: {would}"))
    if not done:
        note("nothing was changed; --yes does it")
