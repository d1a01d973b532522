"""Turning what the model says of a question, an answer or a passage into calibrated probabilities.

Two things can be wrong with an answer: the passages may hold none, or it may be another one. So the confidence in it is
the product of two probabilities, each of its own evidence. The first, answerability, decides alone whether to
abstain: a question that is about something else is not the same as an answer that is hard to tell from its rivals.
"""

import math
from collections.abc import Mapping, Sequence

from rag.reader.choosing import Choice

ANSWERABLE_FEATURES = ("relevance", "margin")
"""What answerability is computed from: see ``features_of``."""
RIGHT_FEATURES = ("relevance", "agreement", "margin", "search")
"""What the probability of the answer being right, if there is one, is computed from."""
RELEVANCE_FEATURES = ("relevance", "search")
"""What a passage's relevance is computed from: the relevance head's logit, and the score of the search."""
_CERTAIN = 1e-6


def logit(probability: float) -> float:
    """The log-odds of a probability, kept finite where it is certain."""
    bounded = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return math.log(bounded / (1 - bounded))


def features_of(choice: Choice) -> dict[str, float]:
    """What is known of a choice: logits, nats and scores without bounds, by their names."""
    candidate = choice.candidate
    log_relevance = min(candidate.relevance_score, -_CERTAIN)
    return {
        # Back from probability to logit, which a logistic regression can use over its whole range.
        "relevance": log_relevance - math.log(-math.expm1(log_relevance)),
        "agreement": logit(choice.agreement),
        "margin": candidate.margin,
        "search": candidate.search_score,
    }


def probability_of(features: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """A logistic regression (Platt, 1999) over features, by their names; ``bias`` is added."""
    z = sum(weight * (1.0 if name == "bias" else features[name]) for name, weight in weights.items())
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def probabilities_of(
    choice: Choice, answerable: Mapping[str, float], right: Mapping[str, float]
) -> tuple[float, float]:
    """Answerability and confidence of a choice: there is an answer; there is one, and this is right."""
    features = features_of(choice)
    answerability = probability_of(features, answerable)
    return answerability, answerability * probability_of(features, right)


def relevance_of(logits: Sequence[float], search_scores: Sequence[float], weights: Mapping[str, float]) -> list[float]:
    """The probability of each passage holding an answer. ``weights`` are those of ``RELEVANCE_FEATURES``."""
    return [
        probability_of({"relevance": logit, "search": score}, weights)
        for logit, score in zip(logits, search_scores, strict=True)
    ]
