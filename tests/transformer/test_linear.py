import pytest
import torch
from torch import nn

from rag.transformer.linear import PackedLinear, can_pack, pack_linears


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_packed_map_gives_what_the_plain_one_gives(bias: bool, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=bias, dtype=dtype)
    assert can_pack(plain.weight)
    packed = PackedLinear(plain.weight, plain.bias)
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
