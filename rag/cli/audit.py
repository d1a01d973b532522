"""``rag audit``."""

import json
from typing import Annotated

import typer

from rag.cli.output import note, print_json, print_table
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database

app = typer.Typer(help="Administrative acts, and looks at what others have asked.", no_args_is_help=True)


@app.command("list")
def list_some(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, as key.create.")] = None,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Audit events, newest first. Without a user it was whoever holds the database or needed no key."""
    from rag.api.audit_schemas import AuditEventListResponse, AuditEventResponse
    from rag.api.paging import cut_page, read_cursor
    from rag.store.audit import list_audit_events

    with open_database(context) as database, database.read() as session:
        before = read_cursor(cursor, "audit events", first=0) or None
        events = list_audit_events(session, user_id=user, action=action, before_id=before, limit=limit + 1)
    events, following = cut_page(events, "audit events", limit=limit, key=lambda event: event.id)
    if as_json:
        page = AuditEventListResponse(
            events=[AuditEventResponse.from_record(event) for event in events], next=following
        )
        print_json(page.model_dump(mode="json"))
    elif not events:
        note("There is no audit event to show.")
    else:
        print_table(
            ["id", "at", "user", "key", "action", "target", "details"],
            [
                [e.id, f"{e.created_at:%Y-%m-%d %H:%M:%S}", e.user_id, e.api_key_id, e.action, e.target]
                + [json.dumps(e.details, ensure_ascii=False) if e.details else ""]
                for e in events
            ],
        )
        note_next(following)
