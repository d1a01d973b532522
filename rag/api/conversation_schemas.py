"""Conversations and prompt chains over the wire."""

from datetime import datetime
from typing import Self

from pydantic import Field

from rag.api.paging import NEXT
from rag.api.schemas import AnswerResponse, RecordResponse, Response
from rag.store.conversations import ConversationContent


class ConversationSummaryResponse(RecordResponse):
    """A conversation without its answers. ``user_id`` is null where callers are not told apart."""

    id: int
    collection: str
    user_id: str | None
    first_question: str
    num_answers: int
    created_at: datetime
    last_answer_at: datetime


class ConversationListResponse(Response):
    """A page of conversations, newest first."""

    conversations: list[ConversationSummaryResponse]
    next: str | None = Field(description=NEXT)


class ConversationResponse(ConversationSummaryResponse):
    """A conversation with its answers, in the order in which they were given: at most the last 1,000."""

    answers: list[AnswerResponse]

    @classmethod
    def from_record(cls, record: ConversationContent) -> Self:
        """The conversation as it goes over the wire."""
        summary = ConversationSummaryResponse.from_record(record.summary)
        return cls(**summary.model_dump(), answers=[AnswerResponse.from_record(answer) for answer in record.answers])


class ChainResponse(Response):
    """A prompt chain: an answer, after the one that it builds on, after the one that that builds on, and so on."""

    answers: list[AnswerResponse]
