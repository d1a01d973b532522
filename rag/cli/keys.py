"""``rag keys``."""

from datetime import datetime
from typing import Annotated

import typer

from rag.cli.output import console, note, plain, print_json, print_table
from rag.cli.state import open_database, operator

app = typer.Typer(help="API keys: who may use the REST API and the pages, and for what.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="Whose key it is: any id that you choose.")],
    role: Annotated[str, typer.Option(help="reader, contributor, reviewer or administrator.")] = "reader",
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    collection: Annotated[
        list[str] | None, typer.Option(help="Only this collection; may be given several times.")
    ] = None,
    access_label: Annotated[
        list[str] | None, typer.Option(help="Hold only this label; may be given several times. Without: all documents.")
    ] = None,
    no_access_label: Annotated[
        bool, typer.Option("--no-access-label", help="Hold no label: only documents without labels.")
    ] = False,
    rate_limit: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    expires_in_days: Annotated[int | None, typer.Option(help="Without: never.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key. It is shown once: only its hash is kept."""
    from rag.api.key_schemas import ApiKeyResponse
    from rag.errors import InvalidInput
    from rag.store.api_keys import NewApiKey, create_api_key

    if access_label and no_access_label:
        raise InvalidInput("--access-label and --no-access-label exclude each other; leave one out.")
    new = NewApiKey(
        user_id=user,
        name=name,
        role=role,  # type: ignore[arg-type]
        collections=collection or None,
        access_labels=[] if no_access_label else access_label or None,
        rate_limit_per_minute=rate_limit,
        expires_in_days=expires_in_days,
    )
    with open_database(context) as database, database.write() as session:
        made, words = create_api_key(session, new, caller=operator())
    if as_json:
        print_json({**ApiKeyResponse.from_record(made).model_dump(mode="json"), "key": words})
        return
    note(f"key {made.id} for {made.user_id}, {made.role}; it is shown this once:")
    console().print(plain(words))


@app.command("list")
def list_all(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """All keys, revoked and expired ones as well."""
    from rag.api.key_schemas import ApiKeyListResponse, ApiKeyResponse
    from rag.store.api_keys import list_api_keys

    with open_database(context) as database, database.read() as session:
        keys = list_api_keys(session, user_id=user)
    if as_json:
        found = ApiKeyListResponse(keys=[ApiKeyResponse.from_record(key) for key in keys])
        print_json(found.model_dump(mode="json"))
    elif not keys:
        note("There is no key to show; `rag keys create --user ID` makes one.")
    else:
        print_table(
            ["id", "user", "name", "role", "collections", "labels", "a minute", "expires", "last used", "revoked"],
            [
                [k.id, k.user_id, k.name, k.role, _listed(k.collections), _listed(k.access_labels)]
                + [k.rate_limit_per_minute, _moment(k.expires_at), _moment(k.last_used_at), _moment(k.revoked_at)]
                for k in keys
            ],
        )


@app.command()
def revoke(
    context: typer.Context, key_id: Annotated[int, typer.Argument(help="The key's id.")], as_json: JsonOption = False
) -> None:
    """Let a key open nothing any more, nor the sign-ins made with it."""
    from rag.api.key_schemas import ApiKeyResponse
    from rag.store.api_keys import get_api_key, revoke_api_key

    with open_database(context) as database, database.write() as session:
        revoke_api_key(session, key_id, caller=operator())
        revoked = get_api_key(session, key_id)
    if as_json:
        print_json(ApiKeyResponse.from_record(revoked).model_dump(mode="json"))
    else:
        console().print(plain(f"key {key_id} of {revoked.user_id} is revoked"))


def _listed(names: tuple[str, ...] | None) -> str:
    return "all" if names is None else ", ".join(names) or "none"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
