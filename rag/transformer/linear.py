"""Linear maps laid out for the processor's matrix unit, for inference on CPU.

In bfloat16 a plain matrix is re-ordered inside every product, and in float32 it goes through a library that is at its
best on one maker's processors only. oneDNN, which torch carries, can keep it in the blocks that its kernels read. On
one Zen 5 core a single token's product then reads more than twice as many bytes a second in either type, and the
product of a long prompt is more than twice as fast in float32.
"""

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
    for child in list(module.modules()):
        for name, part in list(child.named_children()):
            if type(part) is nn.Linear and can_pack(part.weight):
                setattr(child, name, PackedLinear(part.weight, part.bias))
