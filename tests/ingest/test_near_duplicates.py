import random

import pytest

from rag.ingest.near_duplicates import NearDuplicates, signature_of


def _text(num_words: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [f"w{rng.randrange(5000)}" for _ in range(num_words)]


def _shingles(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def test_signature_estimates_the_jaccard_similarity_of_three_word_shingles() -> None:
    words = _text(600, 1)
    edited = words[:500] + _text(100, 2)
    true = len(_shingles(words) & _shingles(edited)) / len(_shingles(words) | _shingles(edited))
    for threshold, expected in ((true - 0.15, 7), (true + 0.15, None)):
        known = NearDuplicates([(7, signature_of(" ".join(words)) or b"")], threshold=threshold)
        assert known.find(signature_of(" ".join(edited))) == expected


def test_case_and_punctuation_do_not_count_but_words_do() -> None:
    assert signature_of("One, two: THREE four!") == signature_of("one two three four")
    assert signature_of("one two three four") != signature_of("one two three five")


@pytest.mark.parametrize("text", ["", "one two", "!!! ???"])
def test_text_too_short_for_a_shingle_has_no_signature_and_repeats_nothing(text: str) -> None:
    assert signature_of(text) is None
    assert NearDuplicates([], threshold=0.8).find(None) is None


def test_document_can_be_replaced_taken_out_and_is_not_its_own_duplicate() -> None:
    first, second = (signature_of(" ".join(_text(100, seed))) for seed in (1, 2))
    known = NearDuplicates([(1, first or b"")], threshold=0.8)
    assert known.find(first, other_than=1) is None
    known.put(1, second)
    assert (known.find(first), known.find(second)) == (None, 1)
    known.put(1, None)
    assert known.find(second) is None


def test_lowest_id_of_a_group_is_found() -> None:
    signature = signature_of(" ".join(_text(100, 1))) or b""
    assert NearDuplicates([(9, signature), (4, signature)], threshold=0.8).find(signature) == 4
