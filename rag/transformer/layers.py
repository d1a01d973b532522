"""The two transformer layers: an encoder layer, and a decoder layer with cross-attention.

Both normalise after each residual (post-norm), as the original transformer and BERT do, so that BERT weights fit.
Shapes as in ``attention.py``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rag.transformer.attention import KeyValue, MultiHeadAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """The sizes that all layers of one model share."""

    width: int
    num_heads: int
    hidden: int
    norm_eps: float = 1e-12
    dropout: float = 0.0


class FeedForward(nn.Module):
    """Two linear maps with a GELU between (Hendrycks and Gimpel, 2016), applied at each position alone."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        y_BTD: Tensor = self.down(F.gelu(self.up(x_BTD)))
        return y_BTD


class EncoderLayer(nn.Module):
    """Self-attention over the whole sequence, then feed-forward."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(shape.width, shape.num_heads)
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.feed_forward = FeedForward(shape.width, shape.hidden)
        self.feed_forward_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x_BTD: Tensor, *, mask: Tensor | None) -> Tensor:
        """``mask`` as in ``MultiHeadAttention.attend``."""
        x_BTD = self.attention_norm(x_BTD + self.dropout(self.attention(x_BTD, mask=mask)))
        y_BTD: Tensor = self.feed_forward_norm(x_BTD + self.dropout(self.feed_forward(x_BTD)))
        return y_BTD


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to a memory, then feed-forward."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(shape.width, shape.num_heads)
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.cross_attention = MultiHeadAttention(shape.width, shape.num_heads)
        self.cross_attention_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.feed_forward = FeedForward(shape.width, shape.hidden)
        self.feed_forward_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self,
        x_BTD: Tensor,
        *,
        past: KeyValue | None,
        mask: Tensor,
        memory: KeyValue,
        memory_mask: Tensor,
    ) -> tuple[Tensor, KeyValue]:
        """Decode T new positions after those in ``past``; returns their states and the grown cache."""
        own = self.attention.project(x_BTD)
        seen = own if past is None else past.append(own)
        x_BTD = self.attention_norm(x_BTD + self.dropout(self.attention.attend(x_BTD, seen, mask=mask)))
        crossed = self.cross_attention.attend(x_BTD, memory, mask=memory_mask)
        x_BTD = self.cross_attention_norm(x_BTD + self.dropout(crossed))
        return self.feed_forward_norm(x_BTD + self.dropout(self.feed_forward(x_BTD))), seen


class TokenEmbedding(nn.Module):
    """Token, learned position and optional segment embeddings, added up and normalised, as in BERT."""

    def __init__(self, shape: LayerShape, *, vocabulary: int, max_positions: int, num_segments: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, shape.width)
        self.position = nn.Embedding(max_positions, shape.width)
        self.segment = nn.Embedding(num_segments, shape.width) if num_segments else None
        self.norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, ids_BT: Tensor, *, segments_BT: Tensor | None = None, offset: int = 0) -> Tensor:
        """Embed ``ids``; ``offset`` is the position of the first one.

        Raises:
            ValueError: the sequence is longer than the learned positions.
        """
        T = ids_BT.shape[1]
        if offset + T > self.position.num_embeddings:
            raise ValueError(f"{offset + T} positions asked for; this model has {self.position.num_embeddings}")
        x_BTD = self.token(ids_BT) + self.position(torch.arange(offset, offset + T, device=ids_BT.device))
        if self.segment is not None:
            x_BTD = x_BTD + self.segment(torch.zeros_like(ids_BT) if segments_BT is None else segments_BT)
        y_BTD: Tensor = self.dropout(self.norm(x_BTD))
        return y_BTD
