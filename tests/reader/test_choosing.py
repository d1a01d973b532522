import math

import pytest

from rag.reader.choosing import ScoringWeights, choose
from rag.reader.confidence import ANSWERABLE_FEATURES, RIGHT_FEATURES, features_of, probabilities_of
from rag.reader.decode import Candidate, Span


def _candidate(words: str, span: float, *, search: float = 0.0, place: int = 0) -> Candidate:
    return Candidate(
        span=Span(0, place, place),
        words=tuple(words.split()),
        span_score=span,
        decoder_score=-1.0,
        relevance_score=-0.1,
        search_score=search,
        margin=1.0,
    )


def test_likeliest_words_win_where_only_equal_ones_agree() -> None:
    candidates = [_candidate("a b", -1.0), _candidate("a", -1.3), _candidate("c", -1.4)]
    choice = choose(candidates, ScoringWeights())
    assert choice.candidate is candidates[0]


def test_the_same_words_in_two_passages_add_up_and_the_likelier_place_is_cited() -> None:
    candidates = [_candidate("wrong", -1.0), _candidate("right", -1.2), _candidate("right", -1.5, place=7)]
    choice = choose(candidates, ScoringWeights())
    assert choice.candidate is candidates[1]


def test_words_that_variants_share_win_over_a_single_likely_span() -> None:
    candidates = [_candidate("wrong", -1.0), _candidate("in 1931", -1.3), _candidate("1931", -1.4)]
    assert choose(candidates, ScoringWeights(whole=0.0)).candidate.words[-1] == "1931"
    assert choose(candidates, ScoringWeights()).candidate.words == ("wrong",)


def test_agreement_is_the_expected_share_of_words() -> None:
    candidates = [_candidate("a b", math.log(0.5)), _candidate("a", math.log(0.3)), _candidate("c", math.log(0.2))]
    choice = choose(candidates, ScoringWeights(whole=0.0))
    assert choice.candidate is candidates[0]
    assert choice.agreement == pytest.approx(0.5 + 0.3 * 2 / 3)


def test_search_counts_by_its_weight() -> None:
    candidates = [_candidate("far", -1.0, search=-0.5), _candidate("near", -1.5)]
    assert choose(candidates, ScoringWeights(search=0.5)).candidate.words == ("far",)
    assert choose(candidates, ScoringWeights(search=2.0)).candidate.words == ("near",)


def test_features_of_certain_answers_are_finite() -> None:
    features = features_of(choose([_candidate("only", 0.0)], ScoringWeights()))
    assert features.keys() >= {*ANSWERABLE_FEATURES, *RIGHT_FEATURES}
    assert all(math.isfinite(value) for value in features.values())


def test_an_answer_is_never_surer_than_that_there_is_one() -> None:
    choice = choose([_candidate("only", 0.0)], ScoringWeights())
    answerability, confidence = probabilities_of(choice, {"bias": 0.0}, {"bias": 1.0, "margin": 1.0})
    assert answerability == 0.5
    assert confidence == pytest.approx(0.5 / (1 + math.exp(-2)))
