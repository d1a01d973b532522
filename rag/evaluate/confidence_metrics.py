"""How far confidences can be trusted: calibration, ranking, and what a threshold over them gains."""

import random
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from rag.reader.confidence import logit

NUM_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Answers with a confidence from ``low`` to ``high``: their number, mean confidence, and share of right ones.

    ``weight`` is their share of all answers. Where answers weigh differently, it, the mean and the share of right ones
    go by their weights.
    """

    low: float
    high: float
    num: int
    weight: float
    mean_confidence: float
    share_right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer as measured: its group (the article), its figures as given and when withheld.

    ``abstention_score`` is what decides which of the two; see ``Generation``.
    """

    group: Hashable
    abstention_score: float
    exact_match: float
    f1: float
    withheld_exact_match: float
    withheld_f1: float


def reliability_bins(
    confidences: Sequence[float], right: Sequence[bool], weights: Sequence[float] | None = None
) -> list[ReliabilityBin]:
    """Ten bins of equal width; those without weight are left out. ``weights``: 0 or more; None: all weigh the same."""
    weighed = [1.0] * len(confidences) if weights is None else weights
    members: list[list[tuple[float, bool, float]]] = [[] for _ in range(NUM_BINS)]
    for confidence, is_right, weight in zip(confidences, right, weighed, strict=True):
        if weight > 0:
            members[min(int(confidence * NUM_BINS), NUM_BINS - 1)].append((confidence, is_right, weight))
    total = sum(weighed)
    bins = []
    for number, inside in enumerate(members):
        if inside:
            in_bin = sum(weight for _, _, weight in inside)
            bins.append(
                ReliabilityBin(
                    low=number / NUM_BINS,
                    high=(number + 1) / NUM_BINS,
                    num=len(inside),
                    weight=in_bin / total,
                    mean_confidence=sum(confidence * weight for confidence, _, weight in inside) / in_bin,
                    share_right=sum(is_right * weight for _, is_right, weight in inside) / in_bin,
                )
            )
    return bins


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The mean distance between confidence and share of right answers, by bin (Naeini et al., 2015); 0 to 1.

    Weighted as the bins are.
    """
    return sum(one.weight * abs(one.mean_confidence - one.share_right) for one in bins)


def auroc(scores: Sequence[float], positive: Sequence[bool], weights: Sequence[float] | None = None) -> float | None:
    """The probability that a positive one has the higher score; None where one of the two kinds is missing.

    With ``weights`` (0 or more), that of a positive and a negative one drawn by them.
    """
    weighed = [1.0] * len(scores) if weights is None else weights
    if len({is_positive for is_positive, weight in zip(positive, weighed, strict=True) if weight > 0}) < 2:
        return None
    return float(roc_auc_score(positive, scores, sample_weight=weights))


def calibration_of_mix(
    confidences: Sequence[float], right: Sequence[bool], answerable: Sequence[bool], *, share_unanswerable: float
) -> dict[str, Any] | None:
    """The calibration of a stream of questions of which a share, 0 to 1, has no answer in the documents.

    Every question weighs so that its kind has its share, however many of it were asked. None where a kind is missing.
    """
    num_answerable, num = sum(answerable), len(answerable)
    if num_answerable in (0, num):
        return None
    weight, weight_unanswerable = (1 - share_unanswerable) / num_answerable, share_unanswerable / (num - num_answerable)
    weights = [weight if can else weight_unanswerable for can in answerable]
    bins = reliability_bins(confidences, right, weights)
    return {
        "share_unanswerable": share_unanswerable,
        "expected_calibration_error": expected_calibration_error(bins),
        "auroc_right": auroc(confidences, right, weights),
        "bins": [asdict(one) for one in bins],
    }


def threshold_by_halves(judged: Sequence[Judged], *, seed: int) -> dict[str, float] | None:
    """Set the threshold on half of the groups for the best F1, and report on the other half.

    The groups are dealt to the halves by ``seed``. None where there is only one group.
    """
    fitting = _first_half([one.group for one in judged], seed=seed)
    fitted = [one for one in judged if one.group in fitting]
    reported = [one for one in judged if one.group not in fitting]
    if not fitted:
        return None

    def mean_f1(threshold: float) -> float:
        return sum(one.f1 if one.abstention_score >= threshold else one.withheld_f1 for one in fitted)

    threshold = max((step / 100 for step in range(101)), key=mean_f1)
    given = [one.abstention_score >= threshold for one in reported]
    pairs = list(zip(reported, given, strict=True))
    return {
        "threshold": threshold,
        "exact_match": sum(o.exact_match if g else o.withheld_exact_match for o, g in pairs) / len(reported),
        "f1": sum(o.f1 if g else o.withheld_f1 for o, g in pairs) / len(reported),
        "num_questions": len(reported),
    }


def calibration_by_halves(
    confidences: Sequence[float], right: Sequence[bool], groups: Sequence[Hashable], *, seed: int
) -> dict[str, float] | None:
    """What calibrating anew on questions of this kind gains: fitted on half of the groups, reported on the others.

    The logit of the confidence is scaled and shifted (Platt, 1999), so its order stays. None where the half
    fitted on has right answers only or wrong ones only, or where nothing is left to report on.
    """
    fitting = _first_half(groups, seed=seed)
    logits = np.array([[logit(confidence)] for confidence in confidences])
    is_right, in_fit = np.array(right, dtype=bool), np.array([group in fitting for group in groups])
    if not len(logits) or len(set(is_right[in_fit])) < 2 or in_fit.all():
        return None
    fitted = LogisticRegression(C=1e3).fit(logits[in_fit], is_right[in_fit])
    probabilities = fitted.predict_proba(logits[~in_fit])[:, 1]
    return {
        "expected_calibration_error": expected_calibration_error(
            reliability_bins(probabilities.tolist(), is_right[~in_fit].tolist())
        ),
        "scale": float(fitted.coef_[0, 0]),
        "shift": float(fitted.intercept_[0]),
        "num_questions": int((~in_fit).sum()),
    }


def _first_half(groups: Iterable[Hashable], *, seed: int) -> set[Hashable]:
    """Half of the groups, dealt by ``seed``."""
    dealt = sorted(set(groups), key=str)
    random.Random(seed).shuffle(dealt)
    return set(dealt[: len(dealt) // 2])
