"""``rag``: the entry point. Errors become one line on standard error; a traceback is shown only with ``--debug``.

Exit status: 0 success, 1 an error, 2 wrong usage, 3 an ingestion or import that finished but refused something,
4 an evaluation that a gate does not let pass, 130 interrupted.
"""

import io
import logging
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from rag.cli import (
    answers,
    ask,
    audit,
    collections,
    conversations,
    datasets,
    db,
    documents,
    evaluate,
    export,
    index,
    ingest,
    keys,
    logs,
    models,
    search,
    serve,
    sql,
    train,
    usage,
    users,
)
from rag.cli.output import note
from rag.config import load_settings
from rag.errors import RagError

INTERRUPTED = 130

app = typer.Typer(
    help="Ask questions over your own documents, with citations that can be checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("ingest")(ingest.ingest)
app.command("ask")(ask.ask)
app.command("search")(search.search)
app.command("serve")(serve.serve)
app.command("sql")(sql.sql)
app.command("usage")(usage.usage)
app.add_typer(answers.app, name="answers")
app.add_typer(conversations.app, name="conversations")
app.add_typer(documents.app, name="documents")
app.add_typer(collections.app, name="collections")
app.add_typer(datasets.app, name="datasets")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(export.app, name="export")
app.add_typer(index.app, name="index")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(models.app, name="models")
app.add_typer(logs.app, name="logs")
app.add_typer(users.app, name="users")
app.add_typer(db.app, name="db")
app.add_typer(train.app, name="train")


@app.callback()
def configure(
    context: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded database and the indexes.")] = None,
    database_url: Annotated[str | None, typer.Option(help="SQLAlchemy URL of the database.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log more, and show tracebacks.")] = False,
) -> None:
    """Read the settings: options here, else RAG_* variables, else rag.toml, else the defaults."""
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    context.obj = load_settings(data_dir=data_dir, database_url=database_url)


def main() -> None:
    """Run the command line and exit. Typer itself answers wrong usage (2) and an interruption (130)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to fail
    try:
        app()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            note("interrupted")
        raise
    except RagError as error:
        sys.exit(_fail(str(error)))
    except Exception as error:  # noqa: BLE001 - the outermost edge: people get a line, never a traceback
        sys.exit(_fail(f"unexpected {type(error).__name__}; run again with --debug to see where"))


def _fail(message: str) -> int:
    if "--debug" in sys.argv:
        traceback.print_exc()
    note(f"error: {message}")
    return 1
