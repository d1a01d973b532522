"""Attention (Vaswani et al., 2017, section 3.2): over the sequence itself or over a memory, heads alone or in groups.

Shapes: B batch, T query positions, S key positions, D model width, H heads, G key/value heads, K width of a head.
With G < H, groups of H/G heads share keys and values (grouped-query attention, Ainslie et al., 2023).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rag.transformer.layer_shape import LayerShape
from rag.transformer.norms import make_norm
from rag.transformer.positions import Rotation, rotate

# Up to so many new positions the heads of a group are laid side by side as further queries of one shared head, which
# reads the cached keys once and copies none. For more, copying the keys is cheaper than the taller mask.
MAX_FOLDED_QUERIES = 16


@dataclass(frozen=True, slots=True)
class KeyValue:
    """The projected keys and values of a sequence, each of shape (B, H, S, K), or (B, G, S, K) where groups share."""

    key_BHSK: Tensor
    value_BHSK: Tensor

    def append(self, other: "KeyValue") -> "KeyValue":
        """These positions followed by ``other``'s."""
        return KeyValue(
            torch.cat([self.key_BHSK, other.key_BHSK], dim=2), torch.cat([self.value_BHSK, other.value_BHSK], dim=2)
        )


class Past(Protocol):
    """What a layer saw before: takes in the new positions and gives back all. ``KeyValue`` is the plainest one."""

    def append(self, other: KeyValue, /) -> KeyValue:
        """All positions so far, the new ones last."""
        ...


def padding_mask(valid_BS: Tensor) -> Tensor:
    """Turn a boolean (B, S), true at real tokens, into the (B, 1, 1, S) mask that attention takes."""
    return valid_BS[:, None, None, :]


def causal_mask(num_queries: int, num_keys: int, *, device: torch.device) -> Tensor:
    """A boolean (1, 1, T, S) that lets the last T of S positions see themselves and what came before."""
    offset = num_keys - num_queries
    rows = torch.arange(num_queries, device=device)[:, None] + offset
    return (torch.arange(num_keys, device=device)[None, :] <= rows)[None, None]


def additive_mask(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where allowed and -inf elsewhere: what torch turns a boolean mask into, done once and not in every layer."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, -math.inf)


def causal_padding_mask(valid_BS: Tensor, num_queries: int, *, dtype: torch.dtype) -> Tensor:
    """An additive (B, 1, T, S): the last T of S positions see the real tokens up to their own place.

    Padding sees itself, since a row of nothing but -inf would turn into NaN and spread.
    """
    S = valid_BS.shape[1]
    keys_S = torch.arange(S, device=valid_BS.device)
    queries_T1 = keys_S[S - num_queries :, None]
    return additive_mask((padding_mask(valid_BS) & (keys_S <= queries_T1)) | (keys_S == queries_T1), dtype)


def see_before(num_queries: int, num_keys: int, valid_BS: Tensor | None, *, like: Tensor) -> tuple[Tensor | None, bool]:
    """The ``mask`` and the ``causal`` by which the last T of S positions see what is real up to their own place.

    The cheapest way there is: one token that sees everything needs no mask, a whole unpadded sequence only the flag.
    """
    if valid_BS is not None:
        return causal_padding_mask(valid_BS, num_queries, dtype=like.dtype), False
    if num_queries == 1 or num_queries == num_keys:
        return None, num_queries > 1
    return additive_mask(causal_mask(num_queries, num_keys, device=like.device), like.dtype), False


def attention_by_hand(q_BHTK: Tensor, seen: KeyValue, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """The formula written out, softmax(q kᵀ / √K) v, to read and to compare with; see ``dot_product_attention``."""
    H, T, K = q_BHTK.shape[1:]
    G, S = seen.key_BHSK.shape[1:3]
    key_BHSK, value_BHSK = (x.repeat_interleave(H // G, dim=1) for x in (seen.key_BHSK, seen.value_BHSK))
    scores_BHTS = q_BHTK @ key_BHSK.transpose(2, 3) / math.sqrt(K)
    if causal:
        scores_BHTS = scores_BHTS.masked_fill(~causal_mask(T, S, device=q_BHTK.device), -math.inf)
    if mask is not None and mask.dtype is torch.bool:
        scores_BHTS = scores_BHTS.masked_fill(~mask, -math.inf)
    elif mask is not None:
        scores_BHTS = scores_BHTS + mask
    return scores_BHTS.softmax(dim=-1) @ value_BHSK


def dot_product_attention(
    q_BHTK: Tensor, seen: KeyValue, *, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attend with torch's fused kernels; (B, H, T, K).

    Args:
        q_BHTK: the queries.
        seen: keys and values, of H heads or of G < H that groups of heads share.
        mask: broadcastable to (B, 1, T, S); boolean, true where allowed, or numbers to be added to the scores.
        causal: each query sees the keys up to its own position; T = S, and no mask then.
    """
    B, H, T, K = q_BHTK.shape
    G, S = seen.key_BHSK.shape[1:3]
    if H == G:
        return F.scaled_dot_product_attention(q_BHTK, seen.key_BHSK, seen.value_BHSK, attn_mask=mask, is_causal=causal)
    if causal or T > MAX_FOLDED_QUERIES:
        # torch's own enable_gqa leaves the fused CPU kernel (eight times as slow in bfloat16).
        key_BHSK, value_BHSK = (
            x_BGSK[:, :, None].expand(B, G, H // G, S, K).reshape(B, H, S, K)
            for x_BGSK in (seen.key_BHSK, seen.value_BHSK)
        )
        return F.scaled_dot_product_attention(q_BHTK, key_BHSK, value_BHSK, attn_mask=mask, is_causal=causal)
    if mask is not None and mask.shape[2] > 1:
        mask = mask.repeat(1, 1, H // G, 1)
    folded_BGXK = q_BHTK.reshape(B, G, (H // G) * T, K)
    y_BGXK = F.scaled_dot_product_attention(folded_BGXK, seen.key_BHSK, seen.value_BHSK, attn_mask=mask)
    return y_BGXK.reshape(B, H, T, K)


class MultiHeadAttention(nn.Module):
    """Attention whose queries, keys and values are projected apart, so that keys can be those of another sequence.

    There is no dropout on the attention weights on purpose: with it, torch leaves its fused CPU kernel.
    """

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.head_width = K = shape.width_of_head
        H, G = shape.num_heads, shape.key_value_heads
        self.query = nn.Linear(shape.width, H * K, bias=shape.query_key_value_bias)
        self.key = nn.Linear(shape.width, G * K, bias=shape.query_key_value_bias)
        self.value = nn.Linear(shape.width, G * K, bias=shape.query_key_value_bias)
        self.output = nn.Linear(H * K, shape.width, bias=shape.output_bias)

    def _split(self, x_BTX: Tensor) -> Tensor:
        B, T, X = x_BTX.shape
        return x_BTX.view(B, T, X // self.head_width, self.head_width).transpose(1, 2)

    def project_query(self, x_BTD: Tensor) -> Tensor:
        """The queries (B, H, T, K) of ``x``."""
        return self._split(self.query(x_BTD))

    def project_memory(self, x_BSD: Tensor) -> KeyValue:
        """Keys and values of ``x``, to attend to now or to keep for later."""
        return KeyValue(self._split(self.key(x_BSD)), self._split(self.value(x_BSD)))

    def project(self, x_BTD: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, KeyValue]:
        """Queries (B, H, T, K), keys and values of ``x``; queries and keys are turned by ``rotation``."""
        own, q_BHTK = self.project_memory(x_BTD), self.project_query(x_BTD)
        if rotation is None:
            return q_BHTK, own
        q_BTHK, k_BTGK = q_BHTK.transpose(1, 2), own.key_BHSK.transpose(1, 2)
        turned = KeyValue(rotate(k_BTGK, rotation).transpose(1, 2), own.value_BHSK)
        return rotate(q_BTHK, rotation).transpose(1, 2), turned

    def attend(self, q_BHTK: Tensor, seen: KeyValue, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Attend and bring the heads together, (B, T, D); arguments as ``dot_product_attention``."""
        return _merge(dot_product_attention(q_BHTK, seen, mask=mask, causal=causal), self.output)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself; queries, keys and values come out of one matrix, in this order.

    One product instead of three, and one rotation of queries and keys together: at one token a step this shows.
    With ``shape.query_key_norm`` queries and keys are normalised head by head before they are rotated (Qwen3).
    """

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.num_heads, self.num_key_value_heads = shape.num_heads, shape.key_value_heads
        self.head_width = K = shape.width_of_head
        num_projected = self.num_heads + 2 * self.num_key_value_heads
        self.query_key_value = nn.Linear(shape.width, num_projected * K, bias=shape.query_key_value_bias)
        self.query_norm = make_norm("rms", K, shape.norm_eps) if shape.query_key_norm else None
        self.key_norm = make_norm("rms", K, shape.norm_eps) if shape.query_key_norm else None
        self.output = nn.Linear(self.num_heads * K, shape.width, bias=shape.output_bias)

    def project(self, x_BTD: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, KeyValue]:
        """Queries (B, H, T, K), keys and values of ``x``; queries and keys are turned by ``rotation``."""
        B, T, _ = x_BTD.shape
        H, G = self.num_heads, self.num_key_value_heads
        heads_BTXK = self.query_key_value(x_BTD).view(B, T, H + 2 * G, self.head_width)
        qk_BTXK, v_BTGK = heads_BTXK.split([H + G, G], dim=2)
        if self.query_norm is not None and self.key_norm is not None:
            q_BTHK, k_BTGK = qk_BTXK.split([H, G], dim=2)
            qk_BTXK = torch.cat([self.query_norm(q_BTHK), self.key_norm(k_BTGK)], dim=2)
        if rotation is not None:
            qk_BTXK = rotate(qk_BTXK, rotation)
        q_BTHK, k_BTGK = qk_BTXK.split([H, G], dim=2)
        return q_BTHK.transpose(1, 2), KeyValue(k_BTGK.transpose(1, 2), v_BTGK.transpose(1, 2))

    def attend(self, q_BHTK: Tensor, seen: KeyValue, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Attend and bring the heads together, (B, T, D); arguments as ``dot_product_attention``."""
        return _merge(dot_product_attention(q_BHTK, seen, mask=mask, causal=causal), self.output)


def _merge(y_BHTK: Tensor, output: nn.Module) -> Tensor:
    B, H, T, K = y_BHTK.shape
    merged_BTD: Tensor = output(y_BHTK.transpose(1, 2).reshape(B, T, H * K))
    return merged_BTD
