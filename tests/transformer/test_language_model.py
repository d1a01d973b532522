"""Our logits against those of the ``transformers`` library on the same weights; and against our own, step by step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.linear import can_pack
from rag.transformer.pretrained import load_language_model

Published = Callable[..., tuple[Path, PreTrainedModel]]
NAMES = ["gpt2", "llama", "llama-grouped-tied-scaled-biased", "qwen2", "qwen2-tied", "qwen3"]
TINY = LanguageModelConfig(
    vocabulary=40, width=32, num_layers=2, num_heads=4, num_key_value_heads=2, hidden=48, max_positions=32
)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def left_padded() -> tuple[Tensor, Tensor]:
    """Three rows of 11, 7 and 3 tokens."""
    ids = torch.randint(1, 40, (3, 11), generator=torch.Generator().manual_seed(1))
    valid = torch.arange(11)[None, :] >= torch.tensor([[0], [4], [8]])
    return ids, valid


def random_model(config: LanguageModelConfig = TINY) -> LanguageModel:
    """With weights large enough that attention is far from flat."""
    torch.manual_seed(0)
    model = LanguageModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_those_of_transformers(name: str, published: Published) -> None:
    folder, theirs = published(name)
    ours = load_language_model(folder)
    ids, valid = left_padded()
    with torch.inference_mode():
        close(ours(ids), theirs(ids).logits)
        positions = (valid.long().cumsum(1) - 1).clamp(min=0)
        expected = theirs(ids, attention_mask=valid.long(), position_ids=positions).logits
        close(ours(ids, valid)[valid], expected[valid])


@pytest.mark.parametrize("name", NAMES)
def test_logits_step_by_step_equal_those_of_transformers(name: str, published: Published) -> None:
    folder, theirs = published(name)
    ours = load_language_model(folder)
    ids, valid = left_padded()
    more = torch.randint(1, 40, (3, 5), generator=torch.Generator().manual_seed(2))
    cache = ours.new_cache(3, 16)
    with torch.inference_mode():
        steps = [ours(ids, valid, cache=cache, last=1)]
        steps += [ours(more[:, t : t + 1], cache=cache) for t in range(5)]
        whole_ids = torch.cat([ids, more], dim=1)
        whole_valid = torch.cat([valid, torch.ones_like(more, dtype=torch.bool)], dim=1)
        positions = (whole_valid.long().cumsum(1) - 1).clamp(min=0)
        expected = theirs(whole_ids, attention_mask=whole_valid.long(), position_ids=positions).logits
    close(torch.cat(steps, dim=1), expected[:, 10:])


def test_scaled_rotary_positions_equal_those_of_transformers_to_the_last_position(published: Published) -> None:
    folder, theirs = published("llama-grouped-tied-scaled-biased")
    ids = torch.randint(1, 99, (1, 64))
    with torch.inference_mode():
        close(load_language_model(folder)(ids), theirs(ids).logits)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"position": "learned"},
        {"position": "sinusoidal", "norm": "layer", "pre_norm": False, "activation": "relu"},
        {"query_key_norm": True, "head_width": 10, "tied_embedding": False, "query_key_value_bias": True},
    ],
    ids=str,
)
def test_blocks_of_new_tokens_give_what_the_whole_gives(change: dict[str, object]) -> None:
    model = random_model(replace(TINY, **change))  # type: ignore[arg-type]
    ids = torch.randint(0, 40, (2, 30))
    cache = model.new_cache(2, 30)
    with torch.inference_mode():
        # 18 new positions are more than the heads of a group are folded for, 4 are fewer.
        blocks = [model(block, cache=cache) for block in ids.split([5, 1, 18, 4, 1, 1], dim=1)]
        close(torch.cat(blocks, dim=1), model(ids))


def test_left_padding_changes_nothing() -> None:
    model = random_model()
    ids, valid = left_padded()
    garbage = torch.where(valid, ids, 7)
    cache, new = model.new_cache(3, 12), torch.tensor([[5], [6], [7]])
    with torch.inference_mode():
        padded = model(ids, valid, cache=cache, last=1)
        then = model(new, cache=cache)
        torch.testing.assert_close(model(garbage, valid, last=1), padded)
        for row in range(3):
            alone = ids[row, valid[row]][None]
            close(padded[row], model(alone)[0, -1:])
            close(then[row], model(torch.cat([alone, new[row][None]], dim=1))[0, -1:])


def test_padding_among_the_new_tokens_is_not_seen_later() -> None:
    model = random_model()
    ids = torch.randint(1, 40, (1, 9))
    cache = model.new_cache(1, 9)
    valid = torch.tensor([[True] * 3 + [False] * 2 + [True] * 4])
    with torch.inference_mode():
        model(ids[:, :3], cache=cache)
        model(ids[:, 3:5], valid[:, 3:5], cache=cache)
        stepped = model(ids[:, 5:], valid[:, 5:], cache=cache)
        close(stepped, model(ids[valid][None])[:, 3:])


def test_what_comes_later_is_not_seen() -> None:
    model = random_model()
    ids = torch.randint(0, 40, (2, 12))
    changed = ids.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % 40
    with torch.inference_mode():
        before, after = model(ids), model(changed)
    torch.testing.assert_close(before[:, :8], after[:, :8])
    assert not torch.allclose(before[:, 8:], after[:, 8:])


def test_order_of_the_tokens_matters_with_every_kind_of_position() -> None:
    for kind in ("learned", "sinusoidal", "rotary"):
        model = random_model(replace(TINY, position=kind))  # type: ignore[arg-type]
        there, back = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[3, 2, 1, 4]])
        with torch.inference_mode():
            assert not torch.allclose(model(there)[:, -1], model(back)[:, -1], atol=1e-3), kind


def test_cut_cache_continues_as_if_nothing_had_been_read_further() -> None:
    model = random_model()
    ids, valid = left_padded()
    cache = model.new_cache(3, 20)
    new = torch.randint(0, 40, (3, 2))
    with torch.inference_mode():
        model(ids, valid, cache=cache)
        first = model(new, cache=cache)
        model(new, cache=cache)
        cache.truncate(11)
        torch.testing.assert_close(model(new, cache=cache), first)


def test_selected_rows_of_a_cache_continue_as_those_rows() -> None:
    model = random_model()
    ids, valid = left_padded()
    rows = torch.tensor([2, 0, 0, 1])
    cache = model.new_cache(3, 14)
    new = torch.randint(0, 40, (4, 3))
    with torch.inference_mode():
        model(ids, valid, cache=cache)
        cache.select(rows)
        continued = model(new, cache=cache)
        whole = torch.cat([valid[rows], torch.ones(4, 3, dtype=torch.bool)], dim=1)
        close(continued, model(torch.cat([ids[rows], new], dim=1), whole, last=3))


def test_last_gives_the_last_logits() -> None:
    model = random_model()
    ids = torch.randint(0, 40, (2, 9))
    with torch.inference_mode():
        torch.testing.assert_close(model(ids, last=2), model(ids)[:, -2:])


def test_logits_are_float32_whatever_the_weights_are() -> None:
    model = random_model()
    ids = torch.randint(0, 40, (2, 9))
    with torch.inference_mode():
        exact = model(ids)
        rough = model.bfloat16()(ids)
    assert rough.dtype is torch.float32
    assert torch.nn.functional.cosine_similarity(rough, exact, dim=-1).min() > 0.99


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [True, False])
def test_packed_model_gives_the_same_logits(dtype: torch.dtype, tied: bool) -> None:
    model = random_model(replace(TINY, tied_embedding=tied)).to(dtype)
    ids = torch.randint(0, 40, (2, 9))
    with torch.inference_mode():
        expected = model(ids)
        plain = any(isinstance(part, torch.nn.Linear) for part in model.pack().modules())
        assert plain != can_pack(model.embedding.token.weight)
        torch.testing.assert_close(model(ids), expected, atol=1e-4 if dtype is torch.float32 else 0.2, rtol=0)


@pytest.mark.parametrize("tied", [True, False])
def test_quantized_model_is_near_the_exact_one_with_and_without_cache(tied: bool) -> None:
    model = random_model(replace(TINY, tied_embedding=tied))
    ids = torch.randint(0, 40, (2, 30))
    with torch.inference_mode():
        exact = model(ids)
        rounded = model.quantize()(ids)
        assert torch.nn.functional.cosine_similarity(rounded, exact, dim=-1).min() > 0.995
        cache = model.new_cache(2, 30)
        model(ids[:, :20], cache=cache)
        stepped = torch.cat([model(ids[:, i : i + 1], cache=cache) for i in range(20, 30)], dim=1)
        assert torch.nn.functional.cosine_similarity(stepped, rounded[:, 20:], dim=-1).min() > 0.995


def test_gradients_reach_every_weight() -> None:
    for change in ({}, {"query_key_norm": True, "tied_embedding": False}, {"position": "learned", "norm": "layer"}):
        model = LanguageModel(replace(TINY, dropout=0.1, **change)).train()  # type: ignore[arg-type]
        ids = torch.randint(0, 40, (2, 9))
        torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_untrained_model_guesses_evenly() -> None:
    torch.manual_seed(0)
    model = LanguageModel(replace(TINY, num_layers=8)).eval()
    ids = torch.randint(0, 40, (4, 16))
    with torch.inference_mode():
        loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.roll(-1, 1).flatten())
    assert loss == pytest.approx(torch.tensor(40.0).log().item(), abs=0.1)


def test_positions_behind_the_last_raise() -> None:
    for kind in ("learned", "sinusoidal", "rotary"):
        model = random_model(replace(TINY, position=kind))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="33 positions"):
            model(torch.zeros(1, 33, dtype=torch.long))


def test_padding_does_not_use_up_positions() -> None:
    model = random_model()
    ids = torch.randint(0, 40, (1, 40))
    valid = torch.arange(40)[None] >= 10
    with torch.inference_mode():
        close(model(ids, valid, last=1), model(ids[:, 10:], last=1))


def test_more_tokens_than_the_cache_holds_raise() -> None:
    model = random_model()
    with pytest.raises(ValueError, match="9 positions do not fit into a cache of 8"):
        model(torch.zeros(1, 9, dtype=torch.long), cache=model.new_cache(1, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_heads": 5}, "not a multiple"),
        ({"num_key_value_heads": 3}, "not a multiple of 3"),
        ({"head_width": 7}, "even head_width"),
        ({"position": "guessed"}, "guessed"),
        ({"norm": "batch"}, "batch"),
        ({"activation": "sine"}, "sine"),
    ],
)
def test_settings_that_do_not_fit_raise(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LanguageModel(replace(TINY, **change))  # type: ignore[arg-type]
