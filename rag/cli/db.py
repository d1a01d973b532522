"""``rag db``."""

from typing import Annotated

import typer

from rag.cli.output import console, print_json
from rag.cli.state import settings_of

app = typer.Typer(help="The database.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def upgrade(context: typer.Context, as_json: JsonOption = False) -> None:
    """Create the database, or bring it up to this version. Nothing is lost; doing it again changes nothing."""
    from rag.store import migrate
    from rag.store.database import Database

    database = Database(settings_of(context).resolved_database_url)
    migrate.upgrade(database)
    revision = migrate.current_revision(database)
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
    from rag.store.database import Database
    from rag.store.migrate import require_current
    from rag.store.reader_role import grant_reading

    database = Database(settings_of(context).resolved_database_url)
    require_current(database)
    names = grant_reading(database)
    if as_json:
        print_json({"database": str(database), "readable": names})
    else:
        console().print(f"{database}: rag_reader may read {', '.join(names)}")
