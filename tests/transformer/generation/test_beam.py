import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from rag.transformer.generation import GenerationOptions, generate
from rag.transformer.tokenization import TextTokenizer

OPTIONS = GenerationOptions(max_new_tokens=4, strategy="beam", num_beams=4)


@pytest.fixture
def letters() -> TextTokenizer:
    return TextTokenizer.train_characters(["abcd"])


def best_of_all(model: Any, prompt: int, end: int, *, length: int, penalty: float) -> tuple[int, ...]:
    """The best continuation among all there are."""

    @torch.no_grad()
    def score(ids: tuple[int, ...]) -> float:
        total, before, last = 0.0, -1, prompt
        for token in ids:
            logits = model.last_VV[last] + (model.before_VV[before] if before >= 0 else 0)
            total += float(logits.log_softmax(0)[token])
            before, last = last, token
        return total / len(ids) ** penalty

    tokens = [token for token in range(model.config.vocabulary) if token != end]
    whole = itertools.product(tokens, repeat=length)
    ended = ((*ids, end) for n in range(length) for ids in itertools.product(tokens, repeat=n))
    return max(itertools.chain(whole, ended), key=score)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_wide_enough_a_search_finds_the_best_continuation_of_all(
    make_table_model: Callable[..., Any], letters: TextTokenizer, penalty: float
) -> None:
    end = min(letters.end_ids)
    for seed in range(4):
        model = make_table_model(letters.vocabulary_size, seed=seed, spread=1.5)
        options = replace(OPTIONS, max_new_tokens=3, num_beams=400, length_penalty=penalty)
        (one,) = generate(model, letters, [[5]], options)
        assert one.ids == best_of_all(model, 5, end, length=3, penalty=penalty)


def test_one_beam_is_greedy_decoding(model: nn.Module, tokenizer: TextTokenizer) -> None:
    prompts = [[70, 71], [80]]
    options = replace(OPTIONS, max_new_tokens=20, num_beams=1)
    searched = generate(model, tokenizer, prompts, options)
    assert [one.ids for one in searched] == [
        one.ids for one in generate(model, tokenizer, prompts, replace(options, strategy="greedy"))
    ]


def test_more_beams_find_likelier_continuations(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    def likelihood(num_beams: int) -> float:
        options = replace(OPTIONS, max_new_tokens=20, num_beams=num_beams, length_penalty=0.0)
        answers = generate(table_model, tokenizer, [[70 + seed] for seed in range(20)], options)
        return sum(one.log_probability or 0 for one in answers)

    assert likelihood(8) > likelihood(3) > likelihood(1)


def test_length_penalty_prefers_longer_continuations(
    make_table_model: Callable[..., Any], tokenizer: TextTokenizer
) -> None:
    model = make_table_model(tokenizer.vocabulary_size, spread=1.5)
    with torch.no_grad():
        model.last_VV[:, min(tokenizer.end_ids)] += 4

    def mean_length(penalty: float) -> float:
        options = replace(OPTIONS, max_new_tokens=30, length_penalty=penalty)
        answers = generate(model, tokenizer, [[70 + seed] for seed in range(10)], options)
        return sum(len(one.ids) for one in answers) / len(answers)

    assert mean_length(-1.0) < mean_length(1.0) < mean_length(3.0)


def test_prompts_whose_search_is_over_leave_the_batch(
    make_table_model: Callable[..., Any], tokenizer: TextTokenizer
) -> None:
    model = make_table_model(tokenizer.vocabulary_size)
    end = min(tokenizer.end_ids)
    with torch.no_grad():
        model.last_VV[:, end] = -99
        model.before_VV[:, end] = 0
        model.last_VV[40, end] = 99
    options = replace(OPTIONS, max_new_tokens=10, num_beams=1)
    short, long = generate(model, tokenizer, [[40], [50]], options)
    assert (short.ids, short.reason) == ((end,), "end")
    assert (len(long.ids), long.reason) == (10, "length")
    assert model.passes == [(2, 1), *[(1, 1)] * 9]


def test_fewer_tokens_than_beams_are_enough(make_table_model: Callable[..., Any]) -> None:
    letters = TextTokenizer.train_characters(["a"])
    model = make_table_model(letters.vocabulary_size)
    (one,) = generate(model, letters, [[4]], replace(OPTIONS, num_beams=50, length_penalty=0.0))
    assert one.ids == best_of_all(model, 4, min(letters.end_ids), length=4, penalty=0.0)
