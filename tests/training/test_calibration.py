import math
import random
from dataclasses import replace
from itertools import product

import pytest

from rag.errors import InvalidInput
from rag.reader.choosing import ScoringWeights, choose
from rag.reader.confidence import probabilities_of, relevance_of
from rag.reader.decode import Candidate, Span
from rag.reader.evidence import EVIDENCE_FEATURES
from rag.training.calibration import (
    ASSUMED_UNANSWERABLE,
    _CandidateTable,
    calibrate,
    fit_faithful,
    fit_logistic,
    fit_relevance,
    fit_weights,
)
from rag.training.calibration_cases import Case

WORDS = ("in 1931", "1931", "the spring of 1931", "Ida Holm", "Holm", "forty crowns")


def _candidate(
    *, words: str = "x", span: float = -1.0, decoder: float = -1.0, relevance: float = -0.5, margin: float = 0.0
) -> Candidate:
    return Candidate(
        span=Span(0, 1, 2),
        words=tuple(words.split()),
        span_score=span,
        decoder_score=decoder,
        relevance_score=relevance,
        search_score=0.0,
        margin=margin,
    )


def _case(candidates: list[Candidate], scores: list[float], *, answerable: bool = True) -> Case:
    return Case(
        candidates=candidates,
        exact_match=scores,
        f1=scores,
        relevance=[0.0],
        search_scores=[0.0],
        right=[answerable],
        answerable=answerable,
        searched=True,
    )


def _cases(rng: random.Random) -> list[Case]:
    """Questions whose margin tells whether they have an answer, and whose relevance whether it is the one found."""
    cases = []
    for _ in range(4_000):
        answerable, known = rng.uniform(-4, 4), rng.uniform(-4, 4)
        can = rng.random() < _sigmoid(answerable)
        right = can and rng.random() < _sigmoid(known)
        log_relevance = -math.log1p(math.exp(-known))
        candidate = _candidate(margin=answerable, relevance=log_relevance)
        cases.append(_case([candidate], [float(right)], answerable=can))
    return cases


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_probabilities_are_shares_at_the_assumed_share_of_unanswerable_questions() -> None:
    cases = _cases(random.Random(0))
    fitted = calibrate(cases)
    num_without = sum(not case.answerable for case in cases)
    odds = ASSUMED_UNANSWERABLE / (1 - ASSUMED_UNANSWERABLE) * (len(cases) - num_without) / num_without
    told = []
    for case in cases:
        choice = choose(case.candidates, ScoringWeights(**fitted.scoring))
        answerability, confidence = probabilities_of(choice, fitted.answerable, fitted.right)
        told.append((answerability, confidence, case, 1.0 if case.answerable else odds))
    for low in (0.0, 0.25, 0.5, 0.75):
        for place, is_true in ((0, lambda case: case.answerable), (1, lambda case: case.f1[0] == 1.0)):
            inside = [(one[place], is_true(one[2]), one[3]) for one in told if low <= one[place] < low + 0.25]
            weight = sum(w for *_, w in inside)
            mean = sum(p * w for p, _, w in inside) / weight
            assert mean == pytest.approx(sum(w for _, true, w in inside if true) / weight, abs=0.08)


def test_threshold_withholds_what_is_plainly_off_topic() -> None:
    rng = random.Random(1)
    cases = [_case([_candidate(margin=rng.gauss(4, 1))], [1.0]) for _ in range(300)]
    cases += [_case([_candidate(margin=rng.gauss(-4, 1))], [0.0], answerable=False) for _ in range(200)]
    fitted = calibrate(cases)
    for case in cases:
        choice = choose(case.candidates, ScoringWeights(**fitted.scoring))
        answerability, _ = probabilities_of(choice, fitted.answerable, fitted.right)
        assert (answerability >= fitted.abstain_below) == case.answerable


def test_probabilities_are_of_what_was_found_and_weights_of_all() -> None:
    cases = _cases(random.Random(0))
    alone = [
        replace(
            _case([_candidate(words="w", span=-0.5), _candidate(words="r", decoder=-0.1)], [0.0, 1.0]), searched=False
        )
    ]
    one, other = calibrate(cases), calibrate(cases + alone * 500)
    assert (one.answerable, one.right, one.relevance) == (other.answerable, other.right, other.relevance)
    assert one.scoring["decoder"] < other.scoring["decoder"]


def test_questions_of_one_kind_cannot_be_calibrated_on() -> None:
    with pytest.raises(InvalidInput, match="with an answer and without"):
        calibrate([_case([_candidate()], [1.0])])


def test_decoder_counts_where_it_knows_better() -> None:
    wrong_but_likely = _candidate(words="wrong", span=-0.5, decoder=-6.0)
    right = _candidate(words="right", span=-1.0, decoder=-0.5)
    weights = fit_weights([_case([wrong_but_likely, right], [0.0, 1.0])] * 5)
    assert weights.decoder > 0
    assert choose([wrong_but_likely, right], weights).candidate is right


def test_agreement_counts_where_variants_share_the_answer() -> None:
    wrong = _candidate(words="forty crowns", span=-0.9)
    variants = [_candidate(words=words, span=-1.2) for words in ("in 1931", "1931", "spring 1931")]
    weights = fit_weights([_case([wrong, *variants], [0.0, 0.6, 1.0, 0.6])] * 5)
    assert weights.whole < 1
    assert choose([wrong, *variants], weights).candidate.words == ("1931",)


def test_all_cases_at_once_are_chosen_from_as_each_alone() -> None:
    rng = random.Random(3)
    cases = []
    for _ in range(40):
        candidates = [
            _candidate(
                words=rng.choice(WORDS), span=rng.uniform(-6, 0), decoder=rng.uniform(-9, 0), relevance=-rng.random()
            )
            for _ in range(rng.randint(1, 8))
        ]
        cases.append(_case(candidates, [rng.random() for _ in candidates]))
    table = _CandidateTable(cases)
    for decoder, sharpness, whole in product((0.0, 0.5), (0.5, 1.0), (0.0, 0.5, 1.0)):
        weights = ScoringWeights(decoder=decoder, relevance=1.0, search=2.0, sharpness=sharpness, whole=whole)
        alone = 0.0
        for case in cases:
            chosen = choose(case.candidates, weights).candidate
            alone += next(f1 for one, f1 in zip(case.candidates, case.f1, strict=True) if one is chosen)
        assert table.value(weights) == pytest.approx(alone / len(cases), abs=1e-9)


def test_relevance_is_the_share_of_right_passages_and_counts_the_search() -> None:
    rng = random.Random(4)
    cases = []
    for _ in range(3_000):
        logit, behind = rng.uniform(-3, 3), rng.uniform(-1, 0)
        right = rng.random() < 1 / (1 + math.exp(-(logit + 3 * behind)))
        cases.append(
            Case(
                candidates=[],
                exact_match=[],
                f1=[],
                relevance=[logit],
                search_scores=[behind],
                right=[right],
                answerable=True,
                searched=True,
            )
        )
    weights = fit_relevance(cases)
    assert weights["relevance"] == pytest.approx(1, abs=0.15)
    assert weights["search"] == pytest.approx(3, abs=0.5)
    best, behind = relevance_of([2.0, 2.0], [0.0, -0.5], weights)
    assert best > behind


def test_answers_of_one_kind_leave_a_share_near_it() -> None:
    fitted = fit_logistic(("x",), [[1.0], [2.0], [3.0]], [True, True, True])
    assert fitted["x"] == 0.0
    assert 1 / (1 + math.exp(-fitted["bias"])) == pytest.approx(4 / 5)


def _evidenced(name: str, value: float, f1: float, *, planted: bool = False) -> Case:
    evidence = dict.fromkeys(EVIDENCE_FEATURES, 0.0) | {name: value}
    return replace(_case([_candidate()], [f1]), evidence=[evidence], planted=planted)


def test_faithfulness_follows_what_tells_planted_answers_from_right_ones() -> None:
    rng = random.Random(0)
    cases = [_evidenced("near", rng.gauss(1, 1), 1.0) for _ in range(400)]
    cases += [_evidenced("near", rng.gauss(-1, 1), 0.0, planted=True) for _ in range(400)]
    fitted = fit_faithful(cases, ScoringWeights())
    assert set(fitted) == {"bias", *EVIDENCE_FEATURES}
    assert fitted["near"] > 1
    assert fitted["margin"] == 0.0
    # Of what people ask nearly all is right here: the bias says so, though half of the cases are not.
    neutral = fitted["bias"]
    assert _sigmoid(neutral) == pytest.approx(0.9, abs=0.03)


def test_cases_without_evidence_leave_faithfulness_unfitted() -> None:
    assert fit_faithful([_case([_candidate()], [1.0])], ScoringWeights()) == {}
    assert calibrate(_cases(random.Random(0))).faithful == {}


def test_planted_passages_say_nothing_of_the_other_probabilities() -> None:
    cases = _cases(random.Random(0))
    planted = [replace(_case([_candidate(margin=4.0)], [0.0]), planted=True)] * 500
    assert replace(calibrate(cases), faithful={}) == replace(calibrate(cases + planted), faithful={})
