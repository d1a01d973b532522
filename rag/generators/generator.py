"""The protocol of generators, and what they return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from rag.cancellation import NEVER, Cancellation
from rag.records import AnswerSpan, Citation, ConfidenceKind, Explanation, Hit


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a generator makes of a question.

    answer: what it would say, also where it should rather be withheld; empty where it declines to answer.
    citations: what the answer rests on, in the order of the answer.
    confidence: 0 to 1; ``confidence_kind`` says of what.
    answerability: the probability that the passages hold an answer, 0 to 1; None where nothing judged that.
    faithfulness: how far what the answer says is supported by what it cites, 0 to 1; None where nothing judged that.
    relevance: for each passage, the probability that it holds an answer, 0 to 1; None where nothing judged that, and
        then the passages stay in the order of the search.
    spans: where each character of the answer comes from, in order; empty where that was not traced.
    unsupported: ranges of the answer that no citation was found to support.
    num_read: how many of the passages, from the first, were read; None: all.
    model: the name of the model as it reported itself with this answer; empty: the generator's name holds.
    details: what else is worth logging of this one answer.
    """

    answer: str
    citations: tuple[Citation, ...]
    confidence: float
    answerability: float | None = None
    faithfulness: float | None = None
    relevance: tuple[float, ...] | None = None
    confidence_kind: ConfidenceKind = "probability"
    spans: tuple[AnswerSpan, ...] = ()
    unsupported: tuple[tuple[int, int], ...] = ()
    num_read: int | None = None
    model: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def abstention_score(self) -> float:
        """What has to reach the threshold: the answerability, or the confidence where that was not judged."""
        return self.confidence if self.answerability is None else self.answerability


class Generator(Protocol):
    """Answers a question from passages and nothing else."""

    @property
    def name(self) -> str:
        """Name and version, as logged."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights, as logged; empty where they are out of sight, on another server."""

    @property
    def abstain_below(self) -> float:
        """The abstention score under which its answers should be withheld."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What else its answers depend on, as logged: number types and the like. Never a secret."""

    @property
    def one_at_a_time(self) -> bool:
        """Whether questions should queue for it, because one alone uses all that this machine has."""

    def check(self) -> None:
        """See whether it could answer now.

        Raises:
            GeneratorUnavailable: it could not.
        """

    def generate(self, question: str, hits: Sequence[Hit], *, cancellation: Cancellation = NEVER) -> Generation:
        """Answer from the hits.

        Raises:
            Cancelled: the answer is not wanted any more; looked at between two steps, or two tokens.
            GeneratorUnavailable: the model does not answer, or not in time.
        """


@runtime_checkable
class Explainer(Protocol):
    """A generator that can tell where its words come from."""

    def explain(self, question: str, hits: Sequence[Hit]) -> Explanation:
        """Answer once more from the hits, and trace each token of the answer."""
