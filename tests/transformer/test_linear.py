import pytest
import torch
from torch import nn

from rag.transformer.linear import (
    HalfLinear,
    Int8Linear,
    PackedLinear,
    can_halve,
    can_pack,
    halve_linears,
    pack_linears,
    quantize_linears,
    round_to_int8,
)


def test_float32_can_be_packed_here_and_bfloat16_where_the_processor_multiplies_it() -> None:
    assert can_pack(torch.zeros(4, 4))
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert can_pack(torch.zeros(4, 4, dtype=torch.bfloat16)) == native


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_packed_map_gives_what_the_plain_one_gives(bias: bool, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=bias, dtype=dtype)
    packed = nn.Sequential(plain)
    pack_linears(packed)
    assert (type(packed[0]) is PackedLinear) == can_pack(plain.weight)
    for shape in ((48,), (1, 1, 48), (3, 7, 48), (1, 300, 48)):
        x = torch.randn(shape, dtype=dtype)
        if len(shape) > 1:
            x = x.transpose(0, 1)  # not contiguous
        with torch.inference_mode():
            torch.testing.assert_close(packed(x), plain(x), atol=tolerance, rtol=0)


def test_every_linear_map_inside_is_packed_and_its_memory_released() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 6)), nn.LayerNorm(6))
    pack_linears(module)
    assert [type(part) for part in (module[0], module[1][1])] == [PackedLinear, PackedLinear]
    assert [name for name, _ in module.named_parameters()] == ["2.weight", "2.bias"]


def test_what_cannot_be_packed_stays() -> None:
    module = nn.Sequential(nn.Linear(4, 5, dtype=torch.float64), nn.Linear(4, 5, device="meta"))
    pack_linears(module)
    assert all(type(part) is nn.Linear for part in module)


half_precision = pytest.mark.skipif(not can_halve(), reason="this processor has no such kernel, or one that it rejects")


@half_precision
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 48), (1, 1, 48), (3, 7, 48), (1, 300, 48)])
def test_half_precision_map_is_off_by_the_rounding_of_its_weights(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=bias)
    x = torch.randn(shape[::-1]).transpose(0, -1)  # not contiguous
    rounded = nn.Linear(48, 80, bias=bias)
    rounded.load_state_dict({**plain.state_dict(), "weight": plain.weight.half().float()})
    with torch.inference_mode():
        halved = HalfLinear(plain.weight, plain.bias)(x)
        torch.testing.assert_close(halved, rounded(x), atol=1e-5, rtol=0)
        assert 0 < (halved - plain(x)).abs().max() < 1e-3


@half_precision
@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_rows_of_a_half_precision_map_are_the_same_to_the_bit_in_any_company(num_threads: int) -> None:
    torch.manual_seed(0)
    halved = HalfLinear(torch.randn(1152, 384), torch.randn(1152))
    rows = torch.randn(16 * 15, 384)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with torch.inference_mode():
            alone = torch.cat([halved(some) for some in rows.split(15)])
            assert all(torch.equal(halved(rows[:num]), alone[:num]) for num in range(3, len(rows) + 1, 3))
    finally:
        torch.set_num_threads(before)


@half_precision
def test_every_linear_map_inside_is_halved() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 6, bias=False)))
    halve_linears(module)
    assert [type(part) for part in (module[0], module[1][1])] == [HalfLinear, HalfLinear]
    assert list(module.parameters()) == []


def test_no_half_precision_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.quantized, "engine", "qnnpack")
    assert not can_halve.__wrapped__()


def test_kernel_whose_rows_depend_on_their_company_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HalfLinear, "forward", lambda _, x: x + len(x))
    assert not can_halve.__wrapped__()


def test_rounding_to_int8_is_off_by_half_a_step_of_its_row_at_most() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 50) * torch.tensor([1e-3, 1.0, 100.0, 5.0, 0.0, 1.0])[:, None]
    integers, scale = round_to_int8(weight)
    assert (integers.dtype, integers.min() >= -127) == (torch.int8, True)
    error = (integers * scale[:, None] - weight).abs().amax(dim=1)
    # The scale itself is rounded, so the largest weights of a row may lie a little outside what 127 steps reach.
    assert (error <= 0.5 * scale + 0.005 * weight.abs().amax(dim=1)).all()
    assert not integers[4].any()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(48,), (1, 1, 48), (2, 3, 48), (3, 7, 48), (1, 300, 48)])
def test_int8_map_is_near_the_plain_one_for_few_rows_and_many(
    bias: bool, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=bias, dtype=dtype)
    with torch.inference_mode():
        x = torch.randn(shape, dtype=dtype)
        exact, rounded = plain(x), Int8Linear(plain.weight, plain.bias)(x)
        assert (rounded.shape, rounded.dtype) == (exact.shape, dtype)
        assert (rounded - exact).float().norm() < 0.02 * exact.float().norm()


def test_every_linear_map_inside_is_quantized() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Linear(5, 6, bias=False)))
    quantize_linears(module)
    assert [type(part) for part in (module[0], module[1][1])] == [Int8Linear, Int8Linear]
    assert list(module.parameters()) == []
