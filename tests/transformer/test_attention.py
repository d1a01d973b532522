"""The fused attention against the formula written out, for every kind of mask and number of heads."""

import pytest
import torch
from torch import Tensor

from rag.transformer.attention import (
    MAX_FOLDED_QUERIES,
    KeyValue,
    MultiHeadAttention,
    SelfAttention,
    additive_mask,
    attention_by_hand,
    causal_mask,
    causal_padding_mask,
    dot_product_attention,
    padding_mask,
    see_before,
)
from rag.transformer.layer_shape import LayerShape
from rag.transformer.positions import RotaryPositions

VALID = torch.tensor([[True] * 20, [False] * 6 + [True] * 14])
CPU = torch.device("cpu")


def random_heads(num_queries: int, num_groups: int) -> tuple[Tensor, KeyValue]:
    generator = torch.Generator().manual_seed(0)
    q_BHTK = torch.randn(2, 6, num_queries, 8, generator=generator)
    key, value = (torch.randn(2, num_groups, 20, 8, generator=generator) for _ in range(2))
    return q_BHTK, KeyValue(key, value)


@pytest.mark.parametrize("num_groups", [6, 3, 1])
@pytest.mark.parametrize("num_queries", [1, 4, 20])
@pytest.mark.parametrize("kind", ["none", "padding", "causal", "causal numbers", "causal padding"])
def test_attention_equals_the_written_out_formula(num_groups: int, num_queries: int, kind: str) -> None:
    assert 4 <= MAX_FOLDED_QUERIES < 20
    q_BHTK, seen = random_heads(num_queries, num_groups)
    mask = {
        "none": None,
        "padding": padding_mask(VALID),
        "causal": causal_mask(num_queries, 20, device=CPU),
        "causal numbers": additive_mask(causal_mask(num_queries, 20, device=CPU), torch.float32),
        "causal padding": causal_padding_mask(VALID, num_queries, dtype=torch.float32),
    }[kind]
    expected = attention_by_hand(q_BHTK, seen, mask=mask)
    torch.testing.assert_close(dot_product_attention(q_BHTK, seen, mask=mask), expected)


@pytest.mark.parametrize("num_groups", [6, 3, 1])
def test_causal_flag_is_the_causal_mask(num_groups: int) -> None:
    q_BHTK, seen = random_heads(20, num_groups)
    expected = attention_by_hand(q_BHTK, seen, mask=causal_mask(20, 20, device=CPU))
    torch.testing.assert_close(attention_by_hand(q_BHTK, seen, causal=True), expected)
    torch.testing.assert_close(dot_product_attention(q_BHTK, seen, causal=True), expected)


def test_by_hand_one_query_is_a_weighted_mean_of_the_values() -> None:
    seen = KeyValue(torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))
    weight = 1 / (1 + torch.exp(torch.tensor(-(2.0**0.5))))
    expected = torch.stack([weight, 1 - weight])
    torch.testing.assert_close(attention_by_hand(torch.tensor([[[[1.0, 5.0]]]]), seen)[0, 0, 0], expected)


def test_causal_mask_lets_the_last_positions_see_themselves_and_before() -> None:
    expected = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.bool)
    assert torch.equal(causal_mask(2, 4, device=CPU)[0, 0], expected)


def test_causal_padding_mask_hides_padding_but_from_itself() -> None:
    valid = torch.tensor([[False, False, True, True]])
    expected = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)
    assert torch.equal(causal_padding_mask(valid, 4, dtype=torch.float32)[0, 0] == 0, expected)


def test_no_mask_is_made_where_none_is_needed() -> None:
    x = torch.empty(0)
    assert see_before(1, 9, None, like=x) == (None, False)
    assert see_before(9, 9, None, like=x) == (None, True)
    mask, causal = see_before(2, 9, None, like=x)
    assert mask is not None
    assert not causal


def test_joint_projection_computes_what_separate_ones_do() -> None:
    torch.manual_seed(0)
    shape = LayerShape(width=32, num_heads=4, num_key_value_heads=2, head_width=10, hidden=1)
    apart, joint = MultiHeadAttention(shape), SelfAttention(shape)
    for kind in ("weight", "bias"):
        parts = [getattr(part, kind) for part in (apart.query, apart.key, apart.value)]
        getattr(joint.query_key_value, kind).data = torch.cat(parts).data
    x = torch.randn(2, 5, 32)
    rotation = RotaryPositions(10, max_positions=9).rotation(slice(2, 7), device=CPU)
    for turned in (None, rotation):
        (q, own), (expected_q, expected) = joint.project(x, turned), apart.project(x, turned)
        torch.testing.assert_close(q, expected_q)
        torch.testing.assert_close(own.key_BHSK, expected.key_BHSK)
        torch.testing.assert_close(own.value_BHSK, expected.value_BHSK)


def test_appended_keys_come_last() -> None:
    first, second = (KeyValue(torch.full((1, 1, n, 2), n), torch.full((1, 1, n, 2), -n)) for n in (1, 2))
    both = first.append(second)
    assert both.key_BHSK[0, 0, :, 0].tolist() == [1, 2, 2]
    assert both.value_BHSK[0, 0, :, 0].tolist() == [-1, -2, -2]


def test_shapes_that_do_not_fit_raise() -> None:
    with pytest.raises(ValueError, match="width 30 is not a multiple"):
        LayerShape(width=30, num_heads=4, hidden=64)
    with pytest.raises(ValueError, match="3 key/value heads"):
        LayerShape(width=32, num_heads=4, num_key_value_heads=3, hidden=64)
    with pytest.raises(ValueError, match="joint_projection"):
        LayerShape(width=32, num_heads=4, hidden=64, query_key_norm=True)
