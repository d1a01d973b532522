from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.generation.speculation import PromptLookup
from rag.transformer.tokenization import TextTokenizer

OPTIONS = GenerationOptions(max_new_tokens=40)


def test_guess_is_what_followed_the_longest_run_where_it_occurred_last() -> None:
    lookup = PromptLookup([1, 2, 3, 10, 11, 9, 2, 3, 20, 21, 1, 2, 3])
    assert lookup.guess(2) == [10, 11]  # after 1 2 3, though 2 3 occurred later
    assert PromptLookup([2, 3, 10, 2, 3, 20, 8, 2, 3]).guess(2) == [20, 8]
    assert PromptLookup([1, 2, 3, 4, 5]).guess(4) == []
    assert PromptLookup([]).guess(3) == []


def test_guess_ends_with_what_is_known() -> None:
    assert PromptLookup([7, 8, 7, 8]).guess(5) == [7, 8]
    assert PromptLookup([7, 8, 7, 8]).guess(0) == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_guess_equals_a_search_from_the_end(ids: list[int]) -> None:
    expected: list[int] = []
    for length in (3, 2):
        places = [at for at in range(len(ids) - length) if len(ids) > length and ids[at : at + length] == ids[-length:]]
        if places:
            expected = ids[places[-1] + length :][:4]
            break
    assert PromptLookup(ids).guess(4) == expected


@pytest.mark.parametrize("num_guessed", [1, 6])
@pytest.mark.parametrize(
    "change", [{}, {"repetition_penalty": 1.3, "no_repeat_ngram": 4}, {"strategy": "sample", "temperature": 0.6}]
)
def test_tokens_are_those_written_without_guessing(
    model: nn.Module, tokenizer: TextTokenizer, num_guessed: int, change: dict[str, Any]
) -> None:
    options = replace(OPTIONS, **change)
    prompts = [tokenizer.encode(text) for text in ("Ada keeps the rota, and the rota keeps Ada", "café café café", "U")]
    plain = generate(model, tokenizer, prompts, options)
    guessing = generate(model, tokenizer, prompts, replace(options, prompt_lookup=num_guessed))
    for one, other in zip(plain, guessing, strict=True):
        assert (one.ids, one.text, one.reason) == (other.ids, other.text, other.reason)
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)
        assert 0 <= other.num_accepted <= other.num_guessed
        assert one.num_guessed == 0


def test_right_guesses_save_passes_and_are_counted(make_table_model: Callable[..., Any]) -> None:
    tokenizer = TextTokenizer.train_characters(["abcdefgh"])
    a = tokenizer.encode("a")[0]
    model = make_table_model(tokenizer.vocabulary_size, spread=0)
    for token in range(a, a + 8):  # a is followed by b, and so on, and h by a
        model.last_VV.data[token, a + (token - a + 1) % 8] = 5
    options = replace(OPTIONS, max_new_tokens=41, prompt_lookup=5)
    (one,) = generate(model, tokenizer, [tokenizer.encode("abcdefghabc")], options)
    assert one.text == ("defghabc" * 6)[:41]
    # The prompt gives one token, each pass after it six; the last one needs only four guesses.
    assert len(model.passes) == 1 + 7
    assert one.num_guessed == one.num_accepted == 6 * 5 + 3


def test_wrong_guesses_are_counted_too(script_model: Callable[[str], Any], tokenizer: TextTokenizer) -> None:
    model = script_model("xyz abc xyz def")
    (one,) = generate(model, tokenizer, [tokenizer.encode("x")], replace(OPTIONS, prompt_lookup=3))
    assert one.text == "xyz abc xyz def"
    assert one.num_guessed > one.num_accepted > 0
