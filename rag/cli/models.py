"""``rag models``: the registry of models, which come with the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.output import console, note, plain, print_json, print_table
from rag.cli.state import open_database, operator, settings_of

if TYPE_CHECKING:
    from rag.registry.model_registry import ModelRegistry
    from rag.store.database import Session
    from rag.store.models import Model

app = typer.Typer(
    help="Models that come with the database: readers, embedding and language models.", no_args_is_help=True
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SHOWN_HASH_CHARS = 12
Reference = Annotated[str, typer.Argument(help="NAME for its newest version, or NAME@VERSION.")]


@app.command()
def add(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The model's folder: safetensors with its JSON and text files.")],
    name: Annotated[str, typer.Option(help="What to call it; a name that is there gets its next version.")],
    kind: Annotated[str, typer.Option(help="reader, embedding or language.")] = "reader",
    files_at: Annotated[
        str | None,
        typer.Option(help="https:// or file:/// URI below which all processes find the safetensors files."),
    ] = None,
    remark: Annotated[str | None, typer.Option("--note", help="What it is.")] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Let this reader answer where no setting names one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a model, after loading it once. Its files go into the database unless --files-at says where they are."""
    from rag.errors import InvalidInput
    from rag.store.models import checked_kind

    if activate and kind != "reader":
        raise InvalidInput("Only a reader can be activated; leave --activate out.")
    with _open_registry(context) as registry:
        added = registry.add(
            folder,
            name=name,
            kind=checked_kind(kind),
            max_blob_bytes=settings_of(context).max_model_blob_bytes,
            files_at=files_at,
            note=remark,
            activate=activate,
            caller=operator(),
        )
    _tell(added, "added and active" if activate else "added", as_json=as_json)


@app.command("list")
def list_all(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Those that were removed as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Models by name and version."""
    from rag.store.models import checked_kind, list_models

    wanted = None if kind is None else checked_kind(kind)
    with open_database(context) as database, database.read() as session:
        found = list_models(session, kind=wanted, with_removed=removed)
    if as_json:
        print_json({"models": [_as_json(model) for model in found]})
    elif not found:
        note("There is no model in the registry; `rag models add FOLDER --name NAME` adds one.")
    else:
        print_table(
            ["model", "kind", "bytes", "sha256", "created at", "", "note"],
            [
                [str(m.reference), m.kind, m.num_bytes, _short(m.sha256), f"{m.created_at:%Y-%m-%d %H:%M}"]
                + [_status(m), m.note]
                for m in found
            ],
        )


@app.command()
def show(context: typer.Context, model: Reference, as_json: JsonOption = False) -> None:
    """One model with its files."""
    with open_database(context) as database, database.read() as session:
        found = _find(session, model)
    if as_json:
        print_json(_as_json(found))
        return
    out = console()
    out.print(plain(f"{found.reference}, {found.kind}, {found.num_bytes:,} bytes {_status(found)}".rstrip()))
    out.print(plain(f"created {found.created_at:%Y-%m-%d %H:%M:%S}"))
    out.print(plain(f"sha256 {found.sha256}"))
    if found.note:
        out.print(plain(found.note))
    print_table(
        ["file", "bytes", "sha256", "where"],
        [[file.path, file.num_bytes, file.sha256, file.uri or "in the database"] for file in found.files],
    )


@app.command()
def export(
    context: typer.Context,
    model: Reference,
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    as_json: JsonOption = False,
) -> None:
    """Write a model's files to a new folder, each compared with its hash."""
    from rag.store.models import parse_reference

    with _open_registry(context) as registry:
        exported = registry.export(parse_reference(model), folder)
    _tell(exported, f"written to {folder}", as_json=as_json)


@app.command()
def activate(context: typer.Context, model: Reference, as_json: JsonOption = False) -> None:
    """Let a reader answer where no setting names one, in processes that start from now on."""
    from rag.store.models import activate_reader

    with _locked_write(context) as session:
        activated = activate_reader(session, _find(session, model), caller=operator())
    _tell(activated, "active; servers take it when they start", as_json=as_json)


@app.command()
def deactivate(context: typer.Context, as_json: JsonOption = False) -> None:
    """Let the reader that ships with the program answer again."""
    from rag.store.models import deactivate_reader

    with _locked_write(context) as session:
        model = deactivate_reader(session, caller=operator())
    _tell(model, "no longer active", as_json=as_json)


@app.command()
def remove(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="NAME@VERSION.")],
    as_json: JsonOption = False,
) -> None:
    """Delete a model's bytes. Its row stays, so that the log can still tell what answered."""
    from rag.errors import InvalidInput
    from rag.store.models import parse_reference, remove_model

    if parse_reference(model).version is None:
        raise InvalidInput(
            f"{model} names no version; write {model}@VERSION, since what is removed cannot be restored."
        )
    with _locked_write(context) as session:
        removed = remove_model(session, _find(session, model), caller=operator())
    _tell(removed, "removed", as_json=as_json)


@contextmanager
def _open_registry(context: typer.Context) -> "Iterator[ModelRegistry]":
    from rag.registry.model_registry import ModelRegistry

    with open_database(context) as database:
        yield ModelRegistry(database, settings_of(context).model_dir)


@contextmanager
def _locked_write(context: typer.Context) -> "Iterator[Session]":
    from rag.store.models import LOCK_OF_MODELS

    with open_database(context) as database, database.exclusive(LOCK_OF_MODELS), database.write() as session:
        yield session


def _find(session: "Session", words: str) -> "Model":
    from rag.store.models import find_model, parse_reference

    return find_model(session, parse_reference(words))


def _tell(model: "Model", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(model))
    else:
        console().print(plain(f"{model.kind} {model.reference} ({_short(model.sha256)}) {what}"))


def _status(model: "Model") -> str:
    if model.removed_at is not None:
        return "removed"
    return "active" if model.activated_at is not None else ""


def _as_json(model: "Model") -> dict[str, Any]:
    values = {"reference": str(model.reference), **asdict(model), "num_bytes": model.num_bytes}
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _short(sha256: str) -> str:
    return sha256[:SHOWN_HASH_CHARS]
