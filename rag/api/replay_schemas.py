"""What a replay of a logged answer looks like over the wire."""

from typing import Any, Literal

from pydantic import Field

from rag.api.schemas import HitResponse, RecordResponse
from rag.store.source_states import SourceState


class WordChangeResponse(RecordResponse):
    """A run of words: in both answers, in the logged one only (removed), or in the new one only (added)."""

    change: Literal["kept", "removed", "added"]
    words: str


class LostPassageResponse(RecordResponse):
    """A passage that was read then and is not now."""

    hit: HitResponse
    source_state: SourceState = Field(
        description="Its document now: changed: it has another version; closed: who asked may not see it any more."
    )


class ReplayResponse(RecordResponse):
    """A logged question asked again as it was asked then. Nothing of it is logged."""

    answer_id: int
    question: str
    same: bool = Field(description="The same words, withheld or not, with the same citations.")
    same_passages: bool
    answer_then: str
    answer: str
    abstained_then: bool
    abstained: bool
    confidence_then: float
    confidence: float
    word_changes: list[WordChangeResponse]
    passages_entered: list[HitResponse] = Field(description="Read now, and not then.")
    passages_left: list[LostPassageResponse] = Field(description="Read then, and not now.")
    changed: dict[str, tuple[Any, Any]] = Field(description="Conditions that differ, each as [then, now].")
    other_hardware: bool = Field(description="Among them is what the machine decides.")
    reasons: list[str] = Field(description="What differs now, a sentence each, the likeliest reason first.")
