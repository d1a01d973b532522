"""Fitting what turns scores into answers, confidences and abstentions, on articles the model was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from rag.reader.confidence import (
    FEATURES,
    ScoringWeights,
    confidence_of,
    features_of,
    rank_candidates,
)
from rag.training.calibration_cases import Case

RIGHT_F1 = 0.5
"""An answer counts as right when at least half of it, by token F1, is."""
REGULARISATION = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What ``ReaderConfig`` stores, and the mean F1 that the weights reach on the calibration questions."""

    scoring: dict[str, float]
    calibration: dict[str, float]
    abstain_below: float
    mean_f1: float


def calibrate(cases: Sequence[Case]) -> Calibration:
    """Fit weights, then the confidence of the answers that they choose, then the threshold over that confidence."""
    weights, mean_f1 = fit_weights(cases)
    calibration = fit_confidence(cases, weights)
    return Calibration(
        scoring={"decoder": weights.decoder, "relevance": weights.relevance},
        calibration=calibration,
        abstain_below=fit_threshold(cases, weights, calibration),
        mean_f1=mean_f1,
    )


def fit_weights(cases: Sequence[Case]) -> tuple[ScoringWeights, float]:
    """The weights with the highest mean F1 over the answerable questions, and that F1."""
    answerable = [case for case in cases if case.answerable]
    best, best_f1 = ScoringWeights(), -1.0
    for decoder in (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5):
        for relevance in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
            weights = ScoringWeights(decoder=decoder, relevance=relevance)
            mean = sum(case.scores[_best(case, weights)] for case in answerable) / len(answerable)
            if mean > best_f1:
                best, best_f1 = weights, mean
    return best, best_f1


def fit_confidence(cases: Sequence[Case], weights: ScoringWeights) -> dict[str, float]:
    """A logistic regression from the features of the answers chosen to whether they are right."""
    rows = [_top_features(case, weights) for case in cases]
    right = [case.scores[_best(case, weights)] >= RIGHT_F1 for case in cases]
    return fit_logistic(FEATURES, [[row[name] for name in FEATURES] for row in rows], right)


def fit_logistic(names: Sequence[str], rows: Sequence[Sequence[float]], right: Sequence[bool]) -> dict[str, float]:
    """Weights by name, and a bias, for features as they are; fitted on standardised ones."""
    x, y = np.array(rows, dtype=np.float64), np.array(right)
    if y.all() or not y.any():
        # Nothing to tell apart: the share itself, drawn towards one half as by one question of each kind.
        share = (y.sum() + 1) / (len(y) + 2)
        return {"bias": round(float(np.log(share / (1 - share))), 6), **dict.fromkeys(names, 0.0)}
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    fitted = LogisticRegression(C=1 / REGULARISATION).fit((x - mean) / deviation, y)
    slopes = fitted.coef_[0] / deviation
    weights = {name: round(float(slope), 6) for name, slope in zip(names, slopes, strict=True)}
    return {"bias": round(float(fitted.intercept_[0] - slopes @ mean), 6), **weights}


def fit_threshold(cases: Sequence[Case], weights: ScoringWeights, calibration: dict[str, float]) -> float:
    """The confidence under which withholding pays: mean F1 over all kinds, an abstention being right off topic."""
    judged = [
        (confidence_of(_top_features(case, weights), calibration), case.scores[_best(case, weights)], case.answerable)
        for case in cases
    ]

    def value(threshold: float) -> float:
        return sum(
            score if confidence >= threshold else float(not answerable) for confidence, score, answerable in judged
        )

    return max((step / 100 for step in range(100)), key=value)


def _best(case: Case, weights: ScoringWeights) -> int:
    return max(range(len(case.candidates)), key=lambda i: weights.total(case.candidates[i]))


def _top_features(case: Case, weights: ScoringWeights) -> dict[str, float]:
    candidate, posterior = rank_candidates(case.candidates, weights)[0]
    return features_of(candidate, posterior)
