"""From messages to a question with its history, and from an answer to messages, as clients of the OpenAI protocol do.

The answer's words carry readable marks ``[1]``, and a list of the sources under them.
"""

import re
from collections.abc import Sequence

from rag.api.openai_schemas import ChatMessage
from rag.errors import InvalidInput
from rag.records import Answer, Citation, Turn
from rag.text.follow_up import MAX_TURNS, standalone_form

NO_ANSWER = "The documents do not hold the answer to this question."
SOURCES = "\n\nSources:\n"
_MARKS = re.compile(r" ?\[\d+\]")


def question_of(messages: Sequence[ChatMessage], *, max_chars: int) -> tuple[str, tuple[Turn, ...]]:
    """The question, which is the last message, and what was said before it, in forms that stand by themselves.

    Raises:
        InvalidInput: the last message is not the user's.
    """
    if messages[-1].role != "user":
        raise InvalidInput("The last message must be the user's: it is the question.")
    turns: list[Turn] = []
    asked = ""
    for message in messages[:-1]:
        if message.role == "user":
            if asked:  # nothing was answered in between
                turns.append(Turn(asked, ""))
            asked = message.text.strip()
        elif message.role == "assistant" and asked:
            turns.append(_turn(asked, message.text, turns, max_chars=max_chars))
            asked = ""
    if asked:
        turns.append(Turn(asked, ""))
    return messages[-1].text, tuple(turns[-MAX_TURNS:])


def content_of(answer: Answer) -> str:
    """The answer as the assistant says it: with marks and sources, or saying that there is none."""
    if answer.abstained:
        return NO_ANSWER
    listed = [f"[{number}] {_source_line(citation)}" for number, citation in enumerate(answer.citations, start=1)]
    return marked(answer) + (SOURCES + "\n".join(listed) if listed else "")


def marked(answer: Answer) -> str:
    """The answer's words with a mark after what was copied from each citation; a language model has set them itself."""
    if answer.confidence_kind == "support" or not answer.citations:
        return answer.answer
    ends: dict[int, int] = {}
    for span in answer.spans:
        if span.citation is not None:
            ends[span.citation] = span.answer_end
    text = answer.answer
    for citation in sorted(range(len(answer.citations)), key=lambda one: (-ends.get(one, len(text)), -one)):
        end = ends.get(citation, len(answer.answer))
        text = f"{text[:end]} [{citation + 1}]{text[end:]}"
    return text


def _turn(question: str, said: str, before: Sequence[Turn], *, max_chars: int) -> Turn:
    """A past question in its own form, with its answer without marks and sources."""
    answer = _MARKS.sub("", said.partition(SOURCES)[0]).strip()
    form = standalone_form(question, before, max_chars=max_chars)
    return Turn(form or question, "" if answer == NO_ANSWER else answer)


def _source_line(citation: Citation) -> str:
    place = f", page {citation.page}" if citation.page else f", row {citation.row}" if citation.row else ""
    synthetic = " (synthetic)" if citation.origin == "synthetic" else ""
    return f"{' '.join(citation.title.split())}{place}, {citation.source}{synthetic}"
