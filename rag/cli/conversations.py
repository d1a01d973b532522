"""``rag conversations``."""

from typing import Annotated

import typer

from rag.cli.ask import print_answer
from rag.cli.output import console, note, plain, print_json, print_table
from rag.cli.paging import CursorOption, note_next
from rag.cli.state import open_database, operator

app = typer.Typer(help="Questions that were asked after one another.", no_args_is_help=True)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SHOWN_CHARS = 60


@app.command("list")
def list_some(
    context: typer.Context,
    cursor: CursorOption = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 20,
    as_json: JsonOption = False,
) -> None:
    """Conversations, newest first."""
    from rag.api.conversation_schemas import ConversationListResponse, ConversationSummaryResponse
    from rag.api.paging import cut_page, read_cursor
    from rag.store.audit import audit_conversations
    from rag.store.conversations import list_conversations

    with open_database(context) as database:
        with database.read() as session:
            before = read_cursor(cursor, "conversations", first=0) or None
            found = list_conversations(session, before_id=before, limit=limit + 1)
        shown, following = cut_page(found, "conversations", limit=limit, key=lambda one: one.id)
        audit_conversations(database, operator(), {one.id: one.user_id for one in shown})
    if as_json:
        page = ConversationListResponse(
            conversations=[ConversationSummaryResponse.from_record(one) for one in shown], next=following
        )
        print_json(page.model_dump(mode="json"))
        return
    if not shown:
        note("No conversation to show; `rag ask QUESTION --conversation new` begins one.")
        return
    print_table(
        ["id", "last asked at", "first question", "answers", "collection"],
        [
            [
                one.id,
                f"{one.last_answer_at:%Y-%m-%d %H:%M:%S}",
                one.first_question[:SHOWN_CHARS],
                one.num_answers,
                one.collection,
            ]
            for one in shown
        ],
    )
    note_next(following)


@app.command()
def show(
    context: typer.Context,
    conversation_id: Annotated[int, typer.Argument(help="The conversation's id.")],
    as_json: JsonOption = False,
) -> None:
    """One conversation with its answers, in the order in which they were given."""
    from rag.api.conversation_schemas import ConversationResponse
    from rag.store.audit import audit_reading
    from rag.store.conversations import get_conversation

    with open_database(context) as database:
        with database.read() as session:
            found = get_conversation(session, conversation_id)
        audit_reading(database, operator(), "answer.read", [answer.id for answer in found.answers])
    if as_json:
        print_json(ConversationResponse.from_record(found).model_dump(mode="json"))
        return
    for answer in found.answers:
        console().print(plain(answer.question))
        print_answer(answer)
