"""Choosing among the spans that may be the answer: the one that agrees most with all of them (minimum Bayes risk).

The likeliest span may be one reading of many, while several others say nearly the same ("1931", "in 1931", "the spring
of 1931"). So each span gets a probability, and the one is chosen whose expected agreement with the right answer, as
far as these probabilities tell, is highest (Kumar and Byrne, 2004).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rag.reader.decode import Candidate
from rag.text.normalize_answer import word_f1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringWeights:
    """How candidates are weighed.

    decoder, relevance, search: what these scores count beside the span's own (1). sharpness: what the sum is
    multiplied with before it becomes a probability. whole: the share of the agreement that only equal words earn; the
    rest counts the words that two candidates share.
    """

    decoder: float = 0.0
    relevance: float = 0.0
    search: float = 0.0
    sharpness: float = 1.0
    whole: float = 1.0

    def total(self, candidate: Candidate) -> float:
        """A candidate's score."""
        return (
            candidate.span_score
            + self.decoder * candidate.decoder_score
            + self.relevance * candidate.relevance_score
            + self.search * candidate.search_score
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate chosen, and how much of its words the right answer is expected to share: word F1, 0 to 1."""

    candidate: Candidate
    agreement: float


def choose(candidates: Sequence[Candidate], weights: ScoringWeights) -> Choice:
    """The best of at least one candidate; of equals the first."""
    totals = [weights.sharpness * weights.total(candidate) for candidate in candidates]
    highest = max(totals)
    exps = [math.exp(total - highest) for total in totals]
    scale = sum(exps)
    best, best_value, best_agreement = candidates[0], -1.0, 0.0
    for candidate in candidates:
        shared = sum(e * word_f1(candidate.words, other.words) for e, other in zip(exps, candidates, strict=True))
        same = sum(e for e, other in zip(exps, candidates, strict=True) if other.words == candidate.words)
        value = weights.whole * same + (1 - weights.whole) * shared
        if value > best_value:
            best, best_value, best_agreement = candidate, value, shared / scale
    return Choice(best, best_agreement)
