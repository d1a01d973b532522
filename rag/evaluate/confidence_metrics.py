"""How far confidences can be trusted: calibration, ranking, and what a threshold over them gains."""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from sklearn.metrics import roc_auc_score

NUM_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Answers with a confidence from ``low`` to ``high``: their number, mean confidence, and share of right ones."""

    low: float
    high: float
    num: int
    mean_confidence: float
    share_right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer as measured: its confidence, its figures as given and when withheld, and its group (the article)."""

    group: Hashable
    confidence: float
    exact_match: float
    f1: float
    withheld_exact_match: float
    withheld_f1: float


def reliability_bins(confidences: Sequence[float], right: Sequence[bool]) -> list[ReliabilityBin]:
    """Ten bins of equal width; empty ones are left out."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_BINS)]
    for confidence, is_right in zip(confidences, right, strict=True):
        members[min(int(confidence * NUM_BINS), NUM_BINS - 1)].append((confidence, is_right))
    return [
        ReliabilityBin(
            low=number / NUM_BINS,
            high=(number + 1) / NUM_BINS,
            num=len(inside),
            mean_confidence=sum(confidence for confidence, _ in inside) / len(inside),
            share_right=sum(is_right for _, is_right in inside) / len(inside),
        )
        for number, inside in enumerate(members)
        if inside
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The mean distance between confidence and share of right answers, by bin (Naeini et al., 2015); 0 to 1."""
    total = sum(one.num for one in bins)
    return sum(one.num * abs(one.mean_confidence - one.share_right) for one in bins) / total if total else 0.0


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """The probability that a positive one has the higher score; None where one of the two kinds is missing."""
    if all(positive) or not any(positive):
        return None
    return float(roc_auc_score(positive, scores))


def threshold_by_halves(judged: Sequence[Judged], *, seed: int) -> dict[str, float] | None:
    """Set the threshold on half of the groups for the best F1, and report on the other half.

    The groups are dealt to the halves by ``seed``. None where there is only one group.
    """
    groups = sorted({one.group for one in judged}, key=str)
    random.Random(seed).shuffle(groups)
    fitting = set(groups[: len(groups) // 2])
    fitted = [one for one in judged if one.group in fitting]
    reported = [one for one in judged if one.group not in fitting]
    if not fitted:
        return None

    def mean_f1(threshold: float) -> float:
        return sum(one.f1 if one.confidence >= threshold else one.withheld_f1 for one in fitted)

    threshold = max((step / 100 for step in range(101)), key=mean_f1)
    given = [one.confidence >= threshold for one in reported]
    pairs = list(zip(reported, given, strict=True))
    return {
        "threshold": threshold,
        "exact_match": sum(o.exact_match if g else o.withheld_exact_match for o, g in pairs) / len(reported),
        "f1": sum(o.f1 if g else o.withheld_f1 for o, g in pairs) / len(reported),
        "num_questions": len(reported),
    }
