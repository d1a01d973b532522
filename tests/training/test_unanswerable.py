import random

import pytest

from rag.training.unanswerable import (
    change_question,
    names_in,
    negate,
    swap_name,
    swap_noun,
    swap_number,
    swap_opposite,
    without_answer,
)

PASSAGE = (
    "Anna Berg opened the first bakery of Lund in 1921. Her brother Karl Berg opened a brewery in 1934. "
    "The University of Lund bought the bakery from the family. Most workers had joined the union by then."
)


def _rng() -> random.Random:
    return random.Random(0)


def test_names_are_words_with_a_capital_joined_across_small_words() -> None:
    text = "When did the University of Lund buy Anna Berg's bakery?"
    assert [text[a:b] for a, b in names_in(text)] == ["University of Lund", "Anna Berg"]


def test_first_word_of_a_sentence_is_a_name_only_if_it_is_one_elsewhere() -> None:
    text = "Most went home. They met Most there. Rain fell."
    assert {text[a:b] for a, b in names_in(text)} == {"Most"}


def test_another_name_of_the_passage_takes_the_place_of_a_name() -> None:
    changed = swap_name("What did Karl Berg open?", PASSAGE, "a brewery", _rng())
    assert changed is not None
    assert "Karl Berg" not in changed
    assert any(name in changed for name in ("Anna Berg", "University of Lund", "Lund"))


def test_the_answer_itself_is_never_put_into_the_question() -> None:
    for seed in range(50):
        changed = swap_name("Who opened a brewery in Lund?", PASSAGE, "Karl Berg", random.Random(seed))
        assert changed is None or "Karl" not in changed


def test_another_number_takes_the_place_of_a_number() -> None:
    changed = {swap_number("What opened in 1921?", PASSAGE, "bakery", random.Random(seed)) for seed in range(30)}
    assert "What opened in 1921?" not in changed
    assert "What opened in 1934?" in changed


@pytest.mark.parametrize(
    ("question", "expected"),
    [("What was the first bakery?", "What was the last bakery?"), ("Who opened it?", "Who closed it?")],
)
def test_a_word_becomes_its_opposite(question: str, expected: str) -> None:
    assert swap_opposite(question, PASSAGE, "", _rng()) == expected


def test_the_auxiliary_verb_is_negated() -> None:
    assert negate("What did Anna open?", PASSAGE, "", _rng()) == "What didn't Anna open?"
    assert negate("Name the bakery", PASSAGE, "", _rng()) is None


def test_a_noun_gives_way_to_one_with_the_same_ending() -> None:
    changed = swap_noun("Who opened the bakery?", PASSAGE, "Anna", _rng())
    assert changed in ("Who joined the bakery?", "Who opened the brewery?")


def test_a_question_is_changed_or_none_at_all() -> None:
    for seed in range(100):
        changed = change_question("Who opened the first bakery in 1921?", PASSAGE, "Anna Berg", random.Random(seed))
        assert changed is not None
        assert changed != "Who opened the first bakery in 1921?"
    assert change_question("Hm?", "Nothing here.", "x", _rng()) is None


def test_sentences_with_the_answer_are_taken_out() -> None:
    rest = without_answer(PASSAGE, "Bakery")
    assert rest == "Her brother Karl Berg opened a brewery in 1934. Most workers had joined the union by then."
    assert without_answer("Only this. And that.", "that") is None
