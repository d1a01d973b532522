"""Multi-head attention (Vaswani et al., 2017, section 3.2), for self- and cross-attention, with a key/value cache.

Shapes: B batch, T query positions, S key positions, D model width, H heads, K width of a head (D = H * K).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class KeyValue:
    """The projected keys and values of a sequence, each of shape (B, H, S, K)."""

    key_BHSK: Tensor
    value_BHSK: Tensor

    def append(self, other: "KeyValue") -> "KeyValue":
        """These positions followed by ``other``'s."""
        return KeyValue(
            torch.cat([self.key_BHSK, other.key_BHSK], dim=2), torch.cat([self.value_BHSK, other.value_BHSK], dim=2)
        )


def padding_mask(valid_BS: Tensor) -> Tensor:
    """Turn a boolean (B, S), true at real tokens, into the (B, 1, 1, S) mask that attention takes."""
    return valid_BS[:, None, None, :]


def causal_mask(num_queries: int, num_keys: int, *, device: torch.device) -> Tensor:
    """A boolean (1, 1, T, S) that lets the last T of S positions see themselves and what came before."""
    offset = num_keys - num_queries
    rows = torch.arange(num_queries, device=device)[:, None] + offset
    return (torch.arange(num_keys, device=device)[None, :] <= rows)[None, None]


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention over ``num_heads`` heads.

    There is no dropout on the attention weights on purpose: with it, torch leaves its fused CPU kernel.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def _split(self, x_BTD: Tensor) -> Tensor:
        B, T, D = x_BTD.shape
        return x_BTD.view(B, T, self.num_heads, D // self.num_heads).transpose(1, 2)

    def project(self, x_BSD: Tensor) -> KeyValue:
        """Keys and values of ``x``, to attend to now or to keep for later."""
        return KeyValue(self._split(self.key(x_BSD)), self._split(self.value(x_BSD)))

    def attend(self, x_BTD: Tensor, memory: KeyValue, *, mask: Tensor | None = None) -> Tensor:
        """Attend from ``x`` to ``memory``; ``mask`` is boolean, broadcastable to (B, H, T, S), true where allowed."""
        q_BHTK = self._split(self.query(x_BTD))
        y_BHTK = F.scaled_dot_product_attention(q_BHTK, memory.key_BHSK, memory.value_BHSK, attn_mask=mask)
        B, H, T, K = y_BHTK.shape
        merged: Tensor = self.output(y_BHTK.transpose(1, 2).reshape(B, T, H * K))
        return merged

    def forward(self, x_BTD: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Self-attention of ``x``."""
        return self.attend(x_BTD, self.project(x_BTD), mask=mask)
