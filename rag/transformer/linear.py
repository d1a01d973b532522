"""Linear maps laid out for the processor's matrix unit, for inference on CPU.

In bfloat16 a plain matrix is re-ordered inside every product, and in float32 it goes through a library that is at its
best on one maker's processors only. oneDNN, which torch carries, can keep it in the blocks that its kernels read. On
one Zen 5 core a single token's product then reads more than twice as many bytes a second in either type, and the
product of a long prompt is more than twice as fast in float32.

Few rows are bound by how fast the weights are read. Half precision halves that and rounds a weight by a two-thousandth
of itself at most; the sums stay in float32. Whole numbers of 8 bits are faster again where one token is written at a
time, at the cost of rounding every weight to one of 255 values of its row.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn


def can_pack(weight: Tensor) -> bool:
    """Whether this torch and this processor have packed products for such a matrix."""
    if weight.device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    operators = torch.ops.mkldnn
    if not (hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")):
        return False
    if weight.dtype is torch.bfloat16:
        return bool(operators._is_mkldnn_bf16_supported())
    return weight.dtype is torch.float32


class PackedLinear(nn.Module):
    """``x Wᵀ + b`` with W kept as oneDNN's kernels read it. It has no parameters: nothing to train, move or save."""

    def __init__(self, weight_ND: Tensor, bias_N: Tensor | None) -> None:
        super().__init__()
        with torch.no_grad():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight_ND.detach(), None)
        self._bias = None if bias_N is None else bias_N.detach()
        self._multiply = torch.ops.mkldnn._linear_pointwise.default

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (…, D) to (…, N)."""
        y_BTN: Tensor = self._multiply(x_BTD, self._packed, self._bias, "none", [], "")
        return y_BTN


def pack_linears(module: nn.Module) -> None:
    """Put a ``PackedLinear`` in the place of every linear map inside ``module`` that can be packed."""
    _replace_linears(
        module, lambda linear: PackedLinear(linear.weight, linear.bias) if can_pack(linear.weight) else None
    )


class HalfLinear(nn.Module):
    """``x Wᵀ + b`` with W in half precision and everything else in float32, for inference on CPU. It has no parameters.

    FBGEMM, which torch carries, widens the weights as it multiplies, six rows at a time on AVX2. One or two that are
    left over go through kernels that sum in another order. So a row comes out the same to the bit, whatever rows come
    with it, where their number is a multiple of ``SAFE_ROWS``.
    """

    SAFE_ROWS = 3

    def __init__(self, weight_ND: Tensor, bias_N: Tensor | None) -> None:
        super().__init__()
        bias_N = None if bias_N is None else bias_N.detach()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight_ND.detach(), bias_N)
        self._multiply = torch.ops.quantized.linear_dynamic_fp16.default

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (…, T, D) to (…, T, N)."""
        y_BTN: Tensor = self._multiply(x_BTD, self._packed)
        return y_BTN


@cache
def can_halve() -> bool:
    """Whether torch has the kernel here and a trial bears out what ``HalfLinear`` says of its rows.

    The kernel differs from processor to processor. Numbers of rows beyond a block of 120 are made of what is tried.
    """
    if torch.backends.quantized.engine not in ("x86", "fbgemm"):
        return False
    step = HalfLinear.SAFE_ROWS
    generator = torch.Generator().manual_seed(0)
    linear = HalfLinear(torch.randn(96, 384, generator=generator), None)
    rows = torch.randn(120 + step, 384, generator=generator)
    with torch.inference_mode():
        alone = torch.cat([linear(some) for some in torch.split(rows, step)])
        return all(torch.equal(linear(rows[:num]), alone[:num]) for num in range(step, len(rows) + 1, step))


def halve_linears(module: nn.Module) -> None:
    """Put a ``HalfLinear`` in the place of every linear map inside ``module``; ask ``can_halve`` first."""
    _replace_linears(module, lambda linear: HalfLinear(linear.weight, linear.bias))


def quantize_linears(module: nn.Module) -> None:
    """Put an ``Int8Linear`` in the place of every linear map inside ``module``."""
    _replace_linears(module, lambda linear: Int8Linear(linear.weight, linear.bias))


def round_to_int8(weight_ND: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix as 8-bit integers (N, D) and one scale for each row (N,): ``weight = integers * scale``, nearly.

    Symmetric around zero and by row, so that one large weight costs precision in its own row alone. Scales are
    numbers of bfloat16, which the kernel takes.
    """
    largest_N = weight_ND.detach().float().abs().amax(dim=1).clamp(min=1e-12)
    scale_N = (largest_N / 127).to(torch.bfloat16).float()
    integers_ND = (weight_ND.detach().float() / scale_N[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    return integers_ND, scale_N


class Int8Linear(nn.Module):
    """``x Wᵀ + b`` with W as 8-bit integers, for inference on CPU. It has no parameters.

    Few rows go through torch's kernel for such weights, which takes them in bfloat16. Many rows are bound by
    multiplying, so for them the weights are turned back first.
    """

    FEW_ROWS = 16

    def __init__(self, weight_ND: Tensor, bias_N: Tensor | None) -> None:
        super().__init__()
        self._integers_ND, scale_N = round_to_int8(weight_ND)
        self._scale_N = scale_N.to(torch.bfloat16)  # nothing is lost: they are such numbers
        self._bias = None if bias_N is None else bias_N.detach()

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (…, D) to (…, N), in the type of ``x``."""
        rows_XD = x_BTD.reshape(-1, x_BTD.shape[-1])
        if len(rows_XD) <= self.FEW_ROWS:
            y_XN = torch._weight_int8pack_mm(rows_XD.to(torch.bfloat16), self._integers_ND, self._scale_N)
            y_XN = y_XN.to(x_BTD.dtype)
        else:
            weight_ND = self._integers_ND.to(x_BTD.dtype).mul_(self._scale_N.to(x_BTD.dtype)[:, None])
            y_XN = rows_XD @ weight_ND.T
        if self._bias is not None:
            y_XN = y_XN + self._bias
        y_BTN: Tensor = y_XN.reshape(*x_BTD.shape[:-1], y_XN.shape[-1])
        return y_BTN


def _replace_linears(module: nn.Module, make: Callable[[nn.Linear], nn.Module | None]) -> None:
    for child in list(module.modules()):
        for name, part in list(child.named_children()):
            if type(part) is nn.Linear and (made := make(part)) is not None:
                setattr(child, name, made)
