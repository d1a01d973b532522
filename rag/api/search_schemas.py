"""Requests that search: for passages, or for what an answer is read from."""

from typing import Self

from pydantic import ConfigDict, Field, JsonValue, StrictBool, StrictInt, model_validator

from rag.api.schemas import FILTER_OBJECT, Request
from rag.records import Fusion, SearchMode, SearchOptions
from rag.store.answer_links import AnswerLinks


class FusionWeights(Request):
    """What each leg of a hybrid search counts; only their proportion matters."""

    model_config = ConfigDict(strict=True)

    keyword: float = Field(ge=0)
    vector: float = Field(ge=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.keyword + self.vector > 0:
            raise ValueError("one of the two must be above 0")
        return self


class SearchOptionsRequest(Request):
    """How to search; what is left out is as the settings have it."""

    fusion: Fusion | None = Field(
        None,
        description="adaptive: by the scores of both legs, where the one whose best passage stands out more counts "
        "more; convex: by scores alone; rrf: by the ranks they give (reciprocal rank fusion).",
    )
    weights: FusionWeights | None = Field(None, description="What each leg counts in the fused score.")
    candidates: StrictInt | None = Field(None, description="Passages that each leg proposes; at most max_candidates.")
    rerank: StrictBool | None = Field(None, description="Whether the reader orders the first passages anew.")

    def options(self, mode: SearchMode = "hybrid") -> SearchOptions:
        """The same as the search takes it."""
        weights = self.weights
        return SearchOptions(
            mode=mode,
            fusion=self.fusion,
            keyword_weight=None if weights is None else weights.keyword / (weights.keyword + weights.vector),
            candidates=self.candidates,
            rerank=self.rerank,
        )


class QuestionRequest(SearchOptionsRequest):
    """A question to be answered from a collection."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "question": "Who keeps the support rota?",
                    "collection": "default",
                    "filters": {"team": "ops", "year": {"$gte": 2024}},
                },
                {"question": "And when was it last changed?", "conversation_id": 12, "stream": True},
            ]
        }
    )

    question: str = Field(description="At most max_question_chars characters (a setting).")
    collection: str = "default"
    top_k: StrictInt | None = Field(None, description="How many passages to read; the setting top_k if left out.")
    filters: dict[str, JsonValue] = Field(default_factory=dict, description=FILTER_OBJECT)
    conversation_id: int | None = Field(None, description="The conversation that it goes on with.")
    conversation: bool = Field(False, description="Begin a conversation; the answer says its conversation_id.")
    based_on_answer_id: int | None = Field(None, description="The answer that it builds on, in a prompt chain.")
    stream: bool | None = Field(
        None, description="Answer by server-sent events. Left out: as the header Accept says (text/event-stream)."
    )

    @property
    def links(self) -> AnswerLinks:
        """How the answer will hang together with others."""
        return AnswerLinks(
            conversation_id=self.conversation_id,
            new_conversation=self.conversation,
            based_on_answer_id=self.based_on_answer_id,
        )

    @model_validator(mode="after")
    def _check_conversation(self) -> Self:
        if self.conversation and self.conversation_id is not None:
            raise ValueError("conversation begins a new one; leave it out with conversation_id")
        return self


class SearchRequest(SearchOptionsRequest):
    """A search for passages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "support rota", "collection": "default", "mode": "hybrid"},
                {"query": "rota", "fusion": "rrf", "weights": {"keyword": 2, "vector": 1}, "rerank": True},
            ]
        }
    )

    query: str = Field(description="At most max_question_chars characters (a setting).")
    collection: str = "default"
    mode: SearchMode = "hybrid"
    top_k: StrictInt | None = Field(None, description="How many passages to find; the setting top_k if left out.")
    filters: dict[str, JsonValue] = Field(default_factory=dict, description=FILTER_OBJECT)
