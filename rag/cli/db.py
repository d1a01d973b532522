"""``rag db``."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.output import Counter, console, note, plain, print_json, print_table
from rag.cli.state import operator, settings_of
from rag.errors import InvalidInput

if TYPE_CHECKING:
    from rag.backup import BackupManifest
    from rag.config import Settings
    from rag.store.database import Database

app = typer.Typer(help="The database.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def upgrade(context: typer.Context, as_json: JsonOption = False) -> None:
    """Create the database, or bring it up to this version. Nothing is lost; doing it again changes nothing.

    With search = "postgres" the search is set up as well, and filled with the passages that are there.
    """
    from rag.store import migrate
    from rag.store.database import Database
    from rag.store.postgres_search_setup import set_up_search

    settings = settings_of(context)
    database = Database(settings.resolved_database_url)
    before = migrate.upgrade(database)
    if settings.search == "postgres" and set_up_search(database):
        note("search inside PostgreSQL is set up")
    revision = migrate.current_revision(database)
    if before != revision:
        _audit(database, "db.upgrade", {"from": before, "to": revision})
    if as_json:
        print_json({"database": str(database), "revision": revision})
    else:
        console().print(f"{database}: revision {revision}")


@app.command()
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say which revision the database has, and which this version needs."""
    from rag.store import migrate
    from rag.store.database import Database

    database = Database(settings_of(context).resolved_database_url)
    current, head = migrate.current_revision(database), migrate.head_revision()
    if as_json:
        print_json({"database": str(database), "current": current, "head": head})
    else:
        advice = "" if current == head else "; run `rag db upgrade`"
        console().print(f"{database}: revision {current or 'none'}, this version needs {head}{advice}")


@app.command("reader-role")
def reader_role(context: typer.Context, as_json: JsonOption = False) -> None:
    """PostgreSQL: make the role rag_reader, which can read the log and its views and nothing else.

    It can log in once it has a password: ALTER ROLE rag_reader LOGIN PASSWORD '…'. Run it again after an upgrade.
    """
    from rag.store.audit import put_audit_event
    from rag.store.database import Database
    from rag.store.migrate import require_current
    from rag.store.reader_role import grant_reading

    database = Database(settings_of(context).resolved_database_url)
    require_current(database)
    names = grant_reading(database)
    with database.write() as session:
        put_audit_event(session, operator(), "db.reader_role")
    if as_json:
        print_json({"database": str(database), "readable": names})
    else:
        console().print(f"{database}: rag_reader may read {', '.join(names)}")


@app.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; a ZIP archive.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write database, index snapshots, waiting uploads and settings to one file. Nothing has to be stopped."""
    from rag.backup import back_up

    manifest = back_up(settings_of(context), file, force=force)
    _audit_in(context, "db.backup", {"file": str(file)})
    num_bytes = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "num_bytes": num_bytes, **_told(manifest)})
    else:
        console().print(f"{file}: {num_bytes:,} bytes, revision {manifest.revision}, {len(manifest.files)} files")


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `rag db backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the database and the index that are here.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in place. Stop servers and ingestions over the same database before."""
    from rag.backup import restore as put_back
    from rag.store.migrate import head_revision

    restored = put_back(settings_of(context), file, force=force)
    _audit_in(context, "db.restore", {"file": str(file), "created_at": restored.manifest.created_at})
    for difference in restored.differences:
        note(difference)
    is_older = restored.manifest.revision != head_revision()
    if as_json:
        print_json({**_told(restored.manifest), "differences": restored.differences, "needs_upgrade": is_older})
    else:
        console().print(f"restored {file} of {restored.manifest.created_at}, revision {restored.manifest.revision}")
    if is_older:
        note("run `rag db upgrade`: the backup is of an older version")


@app.command()
def copy(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A database URL, or the data folder of an embedded database.")],
    target: Annotated[str, typer.Argument(help="The same; made by `rag db upgrade`, and empty.")],
    as_json: JsonOption = False,
) -> None:
    """Copy all rows from one database to another, SQLite or PostgreSQL, and compare. Can be killed and run again."""
    from rag.store.database import Database
    from rag.store.row_copy import copy_rows

    settings = settings_of(context)
    urls = (_url_of(settings, place) for place in (source, target))
    here, there = (Database(url, busy_timeout=settings.store_timeout_s) for url in urls)
    with Counter("rows copied and compared") as counter:
        copied = copy_rows(
            here,
            there,
            caller=operator(),
            on_progress=lambda num_done, total, table: counter.show(num_done, total=total, current=table),
        )
    if as_json:
        print_json({"source": str(here), "target": str(there), "num_rows": copied.num_rows, **asdict(copied)})
        return
    print_table(("table", "rows", "checksum"), [(one.table, one.num_rows, one.checksum[:16]) for one in copied.tables])
    how = "went on with a copy that was broken off; " if copied.was_resumed else ""
    console().print(plain(f"{how}{copied.num_rows} rows of {here} are in {there}, all of them the same"))


def _url_of(settings: "Settings", place: str) -> str:
    """The URL of a database that is named by it or by its data folder."""
    if "://" in place:
        return place
    if Path(place).is_file():
        raise InvalidInput(f"{place} is a file; name its folder, or write sqlite:///{Path(place).absolute()}.")
    return settings.model_copy(update={"data_dir": Path(place), "database_url": ""}).resolved_database_url


def _audit_in(context: typer.Context, action: str, details: Mapping[str, object]) -> None:
    from rag.store.database import Database

    database = Database(settings_of(context).resolved_database_url)
    try:
        _audit(database, action, details)
    finally:
        database.dispose()


def _audit(database: "Database", action: str, details: Mapping[str, object]) -> None:
    """Write down an act that is done, or say that it cannot be: a full disk must not keep anybody from a backup."""
    from rag.errors import StoreUnavailable
    from rag.store.audit import put_audit_event
    from rag.store.migrate import current_revision, head_revision

    if current_revision(database) != head_revision():
        note(f"{action} is not in the audit: the database is of another version")
        return
    try:
        with database.write() as session:
            put_audit_event(session, operator(), action, details=details)
    except StoreUnavailable as error:
        note(f"{action} is not in the audit: {error}")


def _told(manifest: "BackupManifest") -> dict[str, object]:
    return {"created_at": manifest.created_at, "revision": manifest.revision, "num_files": len(manifest.files)}
