"""Fitting what turns scores into answers, confidences and abstentions, on articles the model was not trained on."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rag.errors import InvalidInput
from rag.reader.choosing import Choice, ScoringWeights, choose
from rag.reader.confidence import (
    ANSWERABLE_FEATURES,
    RELEVANCE_FEATURES,
    RIGHT_FEATURES,
    features_of,
    probability_of,
)
from rag.reader.evidence import EVIDENCE_FEATURES
from rag.text.normalize_answer import word_f1
from rag.training.calibration_cases import Case

RIGHT_F1 = 0.5
"""An answer counts as right when at least half of it, by token F1, is."""
ASSUMED_UNANSWERABLE = 0.1
"""Of the questions that people ask, the share without an answer in the documents. The calibration questions have more
of them, so that there is something to fit; probabilities are shifted to this share."""
COST_OF_INVENTING = 7.0
"""An answer to a question that has none is as bad as so many right answers withheld."""
REGULARISATION = 1e-3
EVIDENCE_REGULARISATION = 1.0
"""Stronger: what speaks for a span comes in many features that say nearly the same."""
DECODER = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
RELEVANCE = (0.0, 0.5, 1.0, 1.5)
SEARCH = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0)
SHARPNESS = (0.5, 0.75, 1.0)
WHOLE = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The weights that are tried: every combination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What ``ReaderConfig`` stores, and what the weights reach on the answerable calibration questions."""

    scoring: dict[str, float]
    answerable: dict[str, float]
    right: dict[str, float]
    relevance: dict[str, float]
    faithful: dict[str, float]
    abstain_below: float
    mean_exact_match: float
    mean_f1: float


def calibrate(cases: Sequence[Case]) -> Calibration:
    """Fit weights, then the probabilities of the answers that they choose, then the threshold over answerability.

    The weights must do for what was found and for a passage given alone; the rest is fitted on what was found, and
    faithfulness on planted passages as well.

    Raises:
        InvalidInput: there are no answerable questions among the cases, or only such.
    """
    usual = [case for case in cases if not case.planted]
    if len({case.answerable for case in usual if case.searched}) < 2:
        raise InvalidInput("Calibration needs questions with an answer and without one; use a larger file.")
    weights = fit_weights(usual)
    searched = [case for case in usual if case.searched]
    chosen = [_Chosen(case, weights) for case in searched]
    answerable = [one for one in chosen if one.case.answerable]
    fitted = fit_answerable(chosen)
    return Calibration(
        scoring=asdict(weights),
        answerable=fitted,
        right=fit_chosen(RIGHT_FEATURES, answerable, [one.f1 >= RIGHT_F1 for one in answerable]),
        relevance=fit_relevance(searched),
        faithful=fit_faithful(cases, weights),
        abstain_below=fit_threshold(chosen, fitted),
        mean_exact_match=_mean(one.exact_match for one in answerable),
        mean_f1=_mean(one.f1 for one in answerable),
    )


class _Chosen:
    """A case with the candidate that the weights choose."""

    def __init__(self, case: Case, weights: ScoringWeights) -> None:
        self.case = case
        self.choice: Choice = choose(case.candidates, weights)
        place = next(i for i, one in enumerate(case.candidates) if one is self.choice.candidate)
        self.exact_match, self.f1 = case.exact_match[place], case.f1[place]
        self.evidence = case.evidence[place] if case.evidence else None

    @property
    def is_usual(self) -> bool:
        """Whether it answers a question that can be answered, over passages as they were found."""
        return self.case.answerable and not self.case.planted


def fit_weights(cases: Sequence[Case]) -> ScoringWeights:
    """The weights with the highest mean of exact match and F1 over the answerable questions; of equals the smallest."""
    table = _CandidateTable([case for case in cases if case.answerable])
    tried = (
        ScoringWeights(decoder=decoder, relevance=relevance, search=search, sharpness=sharpness, whole=whole)
        for decoder, relevance, search, sharpness, whole in product(DECODER, RELEVANCE, SEARCH, SHARPNESS, WHOLE)
    )
    return max(tried, key=table.value)


class _CandidateTable:
    """All candidates of C cases, K at most each, as arrays: ``choose`` for all cases at once."""

    def __init__(self, cases: Sequence[Case]) -> None:
        C, K = len(cases), max(len(case.candidates) for case in cases)
        self._span_CK = np.full((C, K), -np.inf)
        self._decoder_CK, self._relevance_CK, self._search_CK = (np.zeros((C, K)) for _ in range(3))
        self._quality_CK = np.zeros((C, K))
        self._shared_CKK, self._same_CKK = np.zeros((C, K, K)), np.zeros((C, K, K))
        for row, case in enumerate(cases):
            for k, one in enumerate(case.candidates):
                self._span_CK[row, k] = one.span_score
                self._decoder_CK[row, k] = one.decoder_score
                self._relevance_CK[row, k] = one.relevance_score
                self._search_CK[row, k] = one.search_score
                self._quality_CK[row, k] = (case.exact_match[k] + case.f1[k]) / 2
                for j, other in enumerate(case.candidates):
                    self._shared_CKK[row, k, j] = word_f1(one.words, other.words)
                    self._same_CKK[row, k, j] = one.words == other.words

    def value(self, weights: ScoringWeights) -> float:
        """The mean quality of the candidates that the weights choose."""
        total_CK = weights.sharpness * (
            self._span_CK
            + weights.decoder * self._decoder_CK
            + weights.relevance * self._relevance_CK
            + weights.search * self._search_CK
        )
        exp_CK = np.exp(total_CK - total_CK.max(axis=1, keepdims=True))
        agreement_CKK = weights.whole * self._same_CKK + (1 - weights.whole) * self._shared_CKK
        best_C = np.einsum("ckj,cj->ck", agreement_CKK, exp_CK).argmax(axis=1)
        return float(self._quality_CK[np.arange(len(best_C)), best_C].mean())


def fit_answerable(chosen: Sequence[_Chosen]) -> dict[str, float]:
    """Whether the question has an answer among the passages, at the share of questions that is assumed of people.

    The bias is corrected for that share (King and Zeng, 2001, section 4.1).
    """
    answerable = [one.case.answerable for one in chosen]
    weights = fit_chosen(ANSWERABLE_FEATURES, chosen, answerable)
    share = sum(answerable) / len(answerable)
    shift = math.log((1 - ASSUMED_UNANSWERABLE) / ASSUMED_UNANSWERABLE) - math.log(share / (1 - share))
    return {**weights, "bias": round(weights["bias"] + shift, 6)}


def fit_chosen(names: Sequence[str], chosen: Sequence[_Chosen], right: Sequence[bool]) -> dict[str, float]:
    """A logistic regression from features of the answers chosen to what is ``right`` of them."""
    features = [features_of(one.choice) for one in chosen]
    return fit_logistic(names, [[row[name] for name in names] for row in features], right)


def fit_faithful(cases: Sequence[Case], weights: ScoringWeights) -> dict[str, float]:
    """Whether the passage of the span chosen supports it, over found and planted passages; empty without evidence.

    An answer that is right is supported: that of a planted passage hardly ever is. The bias is corrected for the share
    of right answers that is to be expected of what people ask, as in ``fit_answerable``.
    """
    chosen = [one for one in (_Chosen(case, weights) for case in cases if case.searched) if one.evidence is not None]
    right = [one.f1 >= RIGHT_F1 for one in chosen]
    usual = [is_right for one, is_right in zip(chosen, right, strict=True) if one.is_usual]
    if not usual:
        return {}
    rows = [[(one.evidence or {})[name] for name in EVIDENCE_FEATURES] for one in chosen]
    fitted = fit_logistic(EVIDENCE_FEATURES, rows, right, regularisation=EVIDENCE_REGULARISATION)
    if len(set(right)) < 2:
        return fitted
    expected = (1 - ASSUMED_UNANSWERABLE) * (sum(usual) + 1) / (len(usual) + 2)
    share = sum(right) / len(right)
    shift = math.log(expected / (1 - expected)) - math.log(share / (1 - share))
    return {**fitted, "bias": round(fitted["bias"] + shift, 6)}


def fit_relevance(cases: Sequence[Case]) -> dict[str, float]:
    """A logistic regression from what is known of a passage to whether it holds the answer."""
    rows = [row for case in cases for row in zip(case.relevance, case.search_scores, strict=True)]
    return fit_logistic(RELEVANCE_FEATURES, rows, [right for case in cases for right in case.right])


def fit_logistic(
    names: Sequence[str],
    rows: Sequence[Sequence[float]],
    right: Sequence[bool],
    *,
    regularisation: float = REGULARISATION,
) -> dict[str, float]:
    """Weights by name, and a bias, for features as they are; fitted on standardised ones."""
    x: NDArray[np.float64] = np.array(rows, dtype=np.float64)
    y = np.array(right)
    if y.all() or not y.any():
        # Nothing to tell apart: the share itself, drawn towards one half as by one question of each kind.
        share = (y.sum() + 1) / (len(y) + 2)
        return {"bias": round(float(np.log(share / (1 - share))), 6), **dict.fromkeys(names, 0.0)}
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
    fitted = LogisticRegression(C=1 / regularisation).fit((x - mean) / deviation, y)
    slopes = fitted.coef_[0] / deviation
    weights = {name: round(float(slope), 6) for name, slope in zip(names, slopes, strict=True)}
    return {"bias": round(float(fitted.intercept_[0] - slopes @ mean), 6), **weights}


def fit_threshold(chosen: Sequence[_Chosen], answerable: dict[str, float]) -> float:
    """The answerability under which withholding pays, answers being worth their F1."""
    judged = [(probability_of(features_of(one.choice), answerable), one.f1, one.case.answerable) for one in chosen]
    num_answerable = sum(can for _, _, can in judged)
    odds = ASSUMED_UNANSWERABLE / (1 - ASSUMED_UNANSWERABLE)
    gain = COST_OF_INVENTING * odds * num_answerable / (len(judged) - num_answerable)

    def value(threshold: float) -> float:
        given = sum(f1 for probability, f1, can in judged if can and probability >= threshold)
        withheld = sum(not can and probability < threshold for probability, _, can in judged)
        return given + gain * withheld

    return max((step / 100 for step in range(100)), key=value)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
