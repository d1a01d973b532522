"""Weighing candidate spans, and turning what the model says into a calibrated probability of being right."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.reader.decode import Candidate

FEATURES = ("relevance", "span", "decoder", "posterior", "margin")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringWeights:
    """How much the decoder's and the relevance head's log-probabilities count beside the span's own (1)."""

    decoder: float = 0.0
    relevance: float = 0.0

    def total(self, candidate: Candidate) -> float:
        """A candidate's score."""
        return (
            candidate.span_score + self.decoder * candidate.decoder_score + self.relevance * candidate.relevance_score
        )


def rank_candidates(candidates: Sequence[Candidate], weights: ScoringWeights) -> list[tuple[Candidate, float]]:
    """Candidates with their posterior (softmax of the totals), best first; equal ones stay in order."""
    totals = [weights.total(candidate) for candidate in candidates]
    highest = max(totals, default=0.0)
    exps = [math.exp(total - highest) for total in totals]
    ranked = sorted(zip(candidates, exps, strict=True), key=lambda pair: -pair[1])
    return [(candidate, value / sum(exps)) for candidate, value in ranked]


def features_of(candidate: Candidate, posterior: float) -> dict[str, float]:
    """What the confidence is computed from."""
    relevance = min(candidate.relevance_score, -1e-6)
    return {
        # Back from log-probability to logit, which a logistic regression can use over its whole range.
        "relevance": relevance - math.log(-math.expm1(relevance)),
        "span": candidate.span_score,
        "decoder": candidate.decoder_score,
        "posterior": math.log(posterior + 1e-9),
        "margin": candidate.margin,
    }


def confidence_of(features: Mapping[str, float], calibration: Mapping[str, float]) -> float:
    """The probability that the answer is right: a logistic regression (Platt, 1999) over features, by their names."""
    z = sum(weight * (1.0 if name == "bias" else features[name]) for name, weight in calibration.items())
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
