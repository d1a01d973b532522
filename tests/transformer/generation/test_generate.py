import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from rag.errors import InvalidInput, LimitExceeded, ModelError
from rag.transformer.generation import GenerationOptions, generate, stream
from rag.transformer.generation.streaming import whole_characters
from rag.transformer.language_model import LanguageModel
from rag.transformer.tokenization import TextTokenizer

GREEDY = GenerationOptions(max_new_tokens=24)
WAYS = {
    "greedy": GREEDY,
    "sample": replace(GREEDY, strategy="sample", temperature=0.8),
    "top_k": replace(GREEDY, strategy="sample", top_k=7, top_p=0.8),
    "top_p": replace(GREEDY, strategy="sample", top_p=0.7),
    "beam": replace(GREEDY, strategy="beam", num_beams=3),
    "penalties": replace(GREEDY, repetition_penalty=1.4, no_repeat_ngram=2),
}


@pytest.fixture
def prompts(tokenizer: TextTokenizer) -> list[list[int]]:
    return [tokenizer.encode(text) for text in ("Ada keeps the rota", "the café opens at nine, said", "U", "who?")]


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_gives_what_each_prompt_gives_alone(
    model: nn.Module, tokenizer: TextTokenizer, prompts: list[list[int]], way: str
) -> None:
    together = generate(model, tokenizer, prompts, WAYS[way])
    alone = [generate(model, tokenizer, [prompt], WAYS[way])[0] for prompt in prompts]
    assert [(one.ids, one.text, one.reason) for one in together] == [(one.ids, one.text, one.reason) for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)


def test_finished_rows_leave_the_batch(make_table_model: Callable[..., Any], tokenizer: TextTokenizer) -> None:
    model = make_table_model(tokenizer.vocabulary_size)
    end = min(tokenizer.end_ids)
    with torch.no_grad():
        model.last_VV[40, end] = 99  # after token 40 comes the end
        model.last_VV[50:60, end] = -99
    short, long = generate(model, tokenizer, [[50, 40], [50, 51]], GREEDY)
    assert (short.ids, short.text, short.reason) == ((end,), "", "end")
    assert long.reason == "length"
    assert model.passes == [(2, 2), *[(1, 1)] * 23]


def test_an_end_token_that_is_a_word_is_no_part_of_the_text(
    table_model: nn.Module, tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (free,) = generate(table_model, tokenizer, [[70, 71]], GREEDY)
    at = next(i for i in range(3, 24) if tokenizer.decode([free.ids[i]]).isalnum() and free.ids[i] not in free.ids[:i])
    monkeypatch.setattr(tokenizer, "end_ids", frozenset({free.ids[at]}))
    for stop in ((), ("no such text",)):
        (one,) = generate(table_model, tokenizer, [[70, 71]], replace(GREEDY, stop=stop))
        assert (one.ids, one.reason) == (free.ids[: at + 1], "end")
        assert one.text == whole_characters(tokenizer.decode(free.ids[:at]))


def test_log_probabilities_are_the_models_own_whatever_the_way(
    language_model: LanguageModel, tokenizer: TextTokenizer, prompts: list[list[int]]
) -> None:
    for options in WAYS.values():
        for prompt, one in zip(prompts, generate(language_model, tokenizer, prompts, options), strict=True):
            with torch.inference_mode():
                logits_TV = language_model(torch.tensor([[*prompt, *one.ids]]))[0]
            log_p = logits_TV.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(one.ids)[:, None])[:, 0]
            assert one.log_probabilities == pytest.approx(log_p.tolist(), abs=1e-3)
            assert one.log_probability == pytest.approx(float(log_p.sum()), abs=1e-2)


def test_log_probabilities_are_left_out_on_request(model: nn.Module, tokenizer: TextTokenizer) -> None:
    (with_them,) = generate(model, tokenizer, [[70, 71]], GREEDY)
    (without,) = generate(model, tokenizer, [[70, 71]], replace(GREEDY, log_probabilities=False))
    assert without.ids == with_them.ids
    assert without.log_probabilities is None
    assert without.log_probability is None


def test_seeds_repeat_an_answer_and_vary_it(model: nn.Module, tokenizer: TextTokenizer) -> None:
    options = replace(WAYS["sample"], temperature=2.0)
    answers = generate(model, tokenizer, [[70, 71]] * 4, options, seeds=[1, 2, 1, 3])
    assert answers[0].ids == answers[2].ids
    # With several threads the rows of a batch may be added up in different orders.
    assert answers[0].log_probabilities == pytest.approx(answers[2].log_probabilities, abs=1e-4)
    assert len({answer.ids for answer in answers}) == 3
    assert generate(model, tokenizer, [[70, 71]], replace(options, seed=2))[0].ids == answers[1].ids


def test_draws_follow_the_models_distribution(make_table_model: Callable[..., Any], tokenizer: TextTokenizer) -> None:
    model = make_table_model(tokenizer.vocabulary_size)
    options = GenerationOptions(max_new_tokens=1, strategy="sample", temperature=1.5)
    answers = generate(model, tokenizer, [[70]] * 4000, options, seeds=range(4000))
    expected_V = (model.last_VV[70].detach() / 1.5).softmax(0)
    counts_V = torch.bincount(torch.tensor([a.ids[0] for a in answers]), minlength=len(expected_V)) / 4000
    top_K = expected_V.topk(8).indices
    torch.testing.assert_close(counts_V[top_K], expected_V[top_K], atol=0.03, rtol=0)


def test_no_run_of_tokens_is_written_twice(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    for strategy in ("greedy", "beam"):
        options = GenerationOptions(max_new_tokens=100, strategy=strategy, no_repeat_ngram=2)
        for seed in range(5):
            ids = generate(table_model, tokenizer, [[70 + seed]], options)[0].ids
            runs = list(itertools.pairwise(ids))
            assert len(runs) == len(set(runs))


def test_timeout_returns_what_is_written(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    for strategy, lookup in (("greedy", 0), ("sample", 0), ("greedy", 3), ("beam", 0)):
        options = GenerationOptions(
            max_new_tokens=90, strategy=strategy, prompt_lookup=lookup, num_beams=2, timeout_s=1e-9
        )
        (one,) = generate(table_model, tokenizer, [[70, 71]], options)
        assert one.reason == "timeout"
        assert len(one.ids) == 1
    start = time.monotonic()
    assert generate(table_model, tokenizer, [[70, 71]], replace(GREEDY, timeout_s=60))[0].reason != "timeout"
    assert time.monotonic() - start < 30


def test_prompt_and_answer_beyond_the_positions_name_the_setting(model: nn.Module, tokenizer: TextTokenizer) -> None:
    room = model.config.max_positions - 10
    with pytest.raises(LimitExceeded, match="10 tokens with .* lower max_new_tokens") as raised:
        generate(model, tokenizer, [[70] * 10], replace(GREEDY, max_new_tokens=room + 1))
    assert raised.value.setting == "max_new_tokens"
    for options in (GREEDY, WAYS["beam"], replace(GREEDY, prompt_lookup=5)):
        full = replace(options, max_new_tokens=room, no_repeat_ngram=0)
        assert 0 < len(generate(model, tokenizer, [[70] * 10], full)[0].ids) <= room


@pytest.mark.parametrize("prompt", [[], [70, 100_000], [-1]])
def test_prompts_that_cannot_be_read_are_refused(
    table_model: nn.Module, tokenizer: TextTokenizer, prompt: list[int]
) -> None:
    with pytest.raises(InvalidInput, match="A prompt"):
        generate(table_model, tokenizer, [[70], prompt], GREEDY)


def test_no_prompts_give_no_answers(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    assert generate(table_model, tokenizer, []) == []
    with pytest.raises(InvalidInput, match="2 seeds for 1 prompts"):
        generate(table_model, tokenizer, [[70]], seeds=[1, 2])


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_computes_no_numbers_is_an_error(
    table_model: nn.Module, tokenizer: TextTokenizer, way: str
) -> None:
    with torch.no_grad():
        table_model.last_VV[70, 3] = torch.nan  # type: ignore[index]
    with pytest.raises(ModelError, match="float32"):
        generate(table_model, tokenizer, [[70]], WAYS[way])


def test_a_model_in_training_mode_is_refused(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    with pytest.raises(ValueError, match="eval"):
        generate(table_model.train(), tokenizer, [[70]], GREEDY)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_new_tokens": 0}, "Max_new_tokens must"),
        ({"strategy": "best"}, "greedy, sample, beam"),
        ({"temperature": 0.0}, "strategy greedy"),
        ({"temperature": float("nan")}, "Temperature must"),
        ({"top_k": -1}, "Top_k must"),
        ({"top_p": 1.1}, "Top_p must"),
        ({"num_beams": 0}, "Num_beams must"),
        ({"length_penalty": float("nan")}, "Length_penalty must"),
        ({"stop": "abc"}, "tuple"),
        ({"stop": ("a", "")}, "not empty"),
        ({"repetition_penalty": 0.0}, "Repetition_penalty must"),
        ({"no_repeat_ngram": -1}, "No_repeat_ngram must"),
        ({"prompt_lookup": -1}, "Prompt_lookup must"),
        ({"prompt_lookup": 2, "strategy": "beam"}, "strategy beam"),
        ({"timeout_s": 0.0}, "Timeout_s must"),
    ],
)
def test_options_out_of_range_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        GenerationOptions(**wrong)


def test_decoding_leaves_no_inference_mode_behind(table_model: nn.Module, tokenizer: TextTokenizer) -> None:
    pieces = stream(table_model, tokenizer, [70], GREEDY)
    next(pieces)
    assert not torch.is_inference_mode_enabled()
    pieces.close()  # type: ignore[attr-defined]
    assert not torch.is_inference_mode_enabled()
