"""The events of a streamed answer: its passages, then its words, its citations and all that was logged of it.

Words come once the answer has been logged, never before: it is known only then whether it is to be withheld, and an
answer that is not logged is not given.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from pydantic import Field

from rag.api.event_stream import Emit, Produce, event
from rag.api.schemas import AnswerResponse, CitationResponse, HitResponse, Response
from rag.cancellation import Cancellation
from rag.records import Answer, Hit

_TOKEN = re.compile(r"\s*\S+(?:\s+\Z)?")

Ask = Callable[[Cancellation, Callable[[Sequence[Hit]], None]], Answer]


class PassagesEvent(Response):
    """``passages``: what was found and is being read, best first by the search."""

    passages: list[HitResponse]


class TokenEvent(Response):
    """``token``: a piece of the answer. All of them joined are the answer."""

    text: str


class CitationEvent(CitationResponse):
    """``citation``: one of the answer's citations."""

    index: int = Field(description="Its place among the citations of the answer, from 0.")


def produce_answer(ask: Ask) -> Produce:
    """What makes the events of an answer."""

    def produce(cancellation: Cancellation, emit: Emit) -> None:
        def on_found(hits: Sequence[Hit]) -> None:
            emit(event("passages", PassagesEvent(passages=[HitResponse.from_record(hit) for hit in hits])))

        answer = ask(cancellation, on_found)
        for text in tokens_of(answer.answer):
            emit(event("token", TokenEvent(text=text)))
        response = AnswerResponse.from_record(answer)
        for index, citation in enumerate(response.citations):
            emit(event("citation", CitationEvent(index=index, **citation.model_dump())))
        emit(event("answer", response))

    return produce


def tokens_of(answer: str) -> Iterator[str]:
    """The answer in pieces of a word each, with the white space before it."""
    return (match.group() for match in _TOKEN.finditer(answer))
