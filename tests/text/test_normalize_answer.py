"""SQuAD's exact match and F1."""

import pytest

from rag.text.normalize_answer import exact_match, f1, normalize_answer


@pytest.mark.parametrize(
    ("answer", "normalized"),
    [
        ("The  Eiffel\tTower!", "eiffel tower"),
        ("a cat, an owl and the dog", "cat owl and dog"),
        ("U.S.", "us"),
        ("theatre", "theatre"),
        ("3.5%", "35"),
        ("", ""),
        ("The", ""),
    ],
)
def test_articles_punctuation_case_and_space_do_not_count(answer: str, normalized: str) -> None:
    assert normalize_answer(answer) == normalized


def test_exact_match_takes_the_best_reference() -> None:
    assert exact_match("the tower", ["Bridge", "Tower."]) == 1.0
    assert exact_match("tall tower", ["Bridge", "Tower."]) == 0.0


def test_f1_is_the_harmonic_mean_of_shared_words() -> None:
    # 2 shared words; precision 2/3, recall 2/4.
    assert f1("big red house", ["red house on hill"]) == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


def test_f1_counts_a_repeated_word_as_often_as_both_have_it() -> None:
    assert f1("no no no", ["no no"]) == pytest.approx(0.8)


def test_f1_takes_the_best_reference() -> None:
    assert f1("red house", ["blue car", "red house"]) == 1.0


@pytest.mark.parametrize("references", [[], [""], ["the", "."]])
@pytest.mark.parametrize(("prediction", "score"), [("", 1.0), ("a", 1.0), ("something", 0.0)])
def test_without_a_reference_only_an_empty_prediction_is_right(
    references: list[str], prediction: str, score: float
) -> None:
    assert exact_match(prediction, references) == score
    assert f1(prediction, references) == score


def test_an_empty_prediction_of_an_answerable_question_is_wrong() -> None:
    assert exact_match("", ["x"]) == 0.0
    assert f1("", ["x"]) == 0.0


def test_empty_references_beside_real_ones_do_not_count() -> None:
    assert f1("", ["", "x"]) == 0.0
