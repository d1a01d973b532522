"""What was said before a question: looked up in the log, as far as the caller may know of it, to understand it by."""

from collections.abc import Sequence
from dataclasses import replace

from rag.records import Caller, Turn
from rag.store.answer_links import AnswerLinks
from rag.store.conversations import chain_turns, conversation_turns
from rag.store.database import Database
from rag.text.follow_up import MAX_TURNS, standalone_form


def understand(
    database: Database,
    question: str,
    links: AnswerLinks,
    *,
    history: Sequence[Turn] = (),
    caller: Caller,
    max_chars: int,
) -> AnswerLinks:
    """The links with the form of the question that is searched and read, and the answers by which it was found.

    A question that builds on an answer is understood by that chain, else by its conversation, else by ``history``.

    Raises:
        NotFound: there is no such answer or conversation, or ``caller`` may not know of it.
    """
    logged: dict[int, Turn] = {}
    if links.conversation_id is not None or links.based_on_answer_id is not None:
        with database.read() as session:
            if links.conversation_id is not None:
                logged = conversation_turns(session, links.conversation_id, limit=MAX_TURNS, caller=caller)
            if links.based_on_answer_id is not None:
                logged = chain_turns(session, links.based_on_answer_id, limit=MAX_TURNS, caller=caller)
    form = standalone_form(question, list(logged.values()) or list(history), max_chars=max_chars)
    return replace(links, standalone_question=form, context_answer_ids=tuple(logged) if form else ())
