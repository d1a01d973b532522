"""The protocol of generators, and what they return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag.records import Citation, Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a generator makes of a question.

    answer: what it would say, also where its confidence is too low to say it.
    citations: where each part of the answer was copied from.
    confidence: its probability of being right, 0 to 1.
    relevance: for each passage, the probability that it holds an answer, 0 to 1.
    """

    answer: str
    citations: tuple[Citation, ...]
    confidence: float
    relevance: tuple[float, ...]


class Generator(Protocol):
    """Answers a question from passages and nothing else."""

    @property
    def name(self) -> str:
        """Name and version, as logged."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights, as logged."""

    @property
    def abstain_below(self) -> float:
        """The confidence under which its answers should be withheld."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What else its answers depend on, as logged: number types and the like."""

    def generate(self, question: str, hits: Sequence[Hit]) -> Generation:
        """Answer from the hits."""
