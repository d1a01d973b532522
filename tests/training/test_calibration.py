import math
import random
from collections.abc import Callable

import pytest

from rag.reader.confidence import ScoringWeights, confidence_of, features_of, rank_candidates
from rag.reader.decode import Candidate, PassageScores, Span
from rag.training.calibration import calibrate, fit_logistic, fit_weights
from rag.training.calibration_cases import Case


def _candidate(*, span: float = -1.0, decoder: float = -1.0, relevance: float = -0.5, margin: float = 0.0) -> Candidate:
    return Candidate(
        span=Span(0, 1, 2), span_score=span, decoder_score=decoder, relevance_score=relevance, margin=margin
    )


def _case(candidates: list[Candidate], scores: list[float], *, answerable: bool = True) -> Case:
    return Case(
        candidates=candidates,
        scores=scores,
        passages=[PassageScores(relevance=0.0, margin=0.0)],
        search_scores=[1.0],
        right=[answerable],
        answerable=answerable,
    )


def _cases(rng: random.Random, feature: Callable[[float], Candidate]) -> list[Case]:
    """Questions whose one candidate is right as often as its feature says, and off-topic ones with a low feature."""
    cases = []
    for _ in range(2_000):
        z = rng.uniform(-4, 4)
        cases.append(_case([feature(z)], [float(rng.random() < 1 / (1 + math.exp(-z)))]))
        cases.append(_case([feature(rng.uniform(-8, -6))], [0.0], answerable=False))
    return cases


def test_confidence_is_the_share_of_right_answers() -> None:
    cases = _cases(random.Random(0), lambda z: _candidate(margin=z))
    fitted = calibrate(cases)
    confidences = []
    for case in cases:
        candidate, posterior = rank_candidates(case.candidates, ScoringWeights(**fitted.scoring))[0]
        confidences.append(confidence_of(features_of(candidate, posterior), fitted.calibration))
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = [
            (confidence, case.scores[0])
            for confidence, case in zip(confidences, cases, strict=True)
            if low <= confidence < low + 0.25
        ]
        mean_confidence, share_right = (sum(values) / len(inside) for values in zip(*inside, strict=True))
        assert mean_confidence == pytest.approx(share_right, abs=0.08)


def test_threshold_withholds_what_is_off_topic() -> None:
    cases = _cases(random.Random(1), lambda z: _candidate(margin=z))
    fitted = calibrate(cases)
    assert 0.01 <= fitted.abstain_below <= 0.6
    for case in cases:
        candidate, posterior = rank_candidates(case.candidates, ScoringWeights(**fitted.scoring))[0]
        if not case.answerable:
            assert confidence_of(features_of(candidate, posterior), fitted.calibration) < fitted.abstain_below


def test_decoder_counts_where_it_knows_better() -> None:
    wrong_but_likely = _candidate(span=-0.5, decoder=-6.0)
    right = _candidate(span=-1.0, decoder=-0.5)
    weights, mean_f1 = fit_weights([_case([wrong_but_likely, right], [0.0, 1.0])] * 5)
    assert weights.decoder > 0
    assert mean_f1 == 1.0


def test_answers_of_one_kind_leave_a_share_near_it() -> None:
    fitted = fit_logistic(("x",), [[1.0], [2.0], [3.0]], [True, True, True])
    assert fitted["x"] == 0.0
    assert 1 / (1 + math.exp(-fitted["bias"])) == pytest.approx(4 / 5)
