"""Embedding tokens together with their positions: BERT's way, and with positions of any kind.

Shapes: B batch, T positions, D model width.
"""

import math

import torch
from torch import Tensor, nn

from rag.transformer.layer_shape import LayerShape
from rag.transformer.positions import (
    PositionKind,
    Positions,
    RotaryPositions,
    RotaryScaling,
    Rotation,
    positions_end,
    sinusoidal_table,
)


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


class PositionedEmbedding(nn.Module):
    """Token embeddings with positions of any kind.

    Learned and sinusoidal positions are added here; before sinusoids are added the tokens are scaled by √D, as in the
    original transformer. Rotary ones are handed to the attention of every layer instead.
    """

    def __init__(
        self,
        shape: LayerShape,
        *,
        vocabulary: int,
        max_positions: int,
        kind: PositionKind,
        rotary_theta: float = 10_000.0,
        rotary_scaling: RotaryScaling | None = None,
    ) -> None:
        super().__init__()
        self.max_positions = max_positions
        self.token = nn.Embedding(vocabulary, shape.width)
        self.position: nn.Embedding | None = None
        self.sinusoids: Tensor | None = None
        self.rotary: RotaryPositions | None = None
        if kind == "learned":
            self.position = nn.Embedding(max_positions, shape.width)
        elif kind == "sinusoidal":
            self.sinusoids = sinusoidal_table(max_positions, shape.width)
        elif kind == "rotary":
            self.rotary = RotaryPositions(
                shape.width_of_head, max_positions=max_positions, theta=rotary_theta, scaling=rotary_scaling
            )
        else:
            raise ValueError(f"no positions are called {kind!r}")
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, ids_BT: Tensor, positions: Positions) -> tuple[Tensor, Rotation | None]:
        """Embedded tokens (B, T, D), and the rotation for the layers if positions are rotary.

        Raises:
            ValueError: a position lies behind the model's last one.
        """
        end = positions_end(positions)
        if end > self.max_positions:
            raise ValueError(f"{end} positions asked for; this model has {self.max_positions}")
        x_BTD: Tensor = self.token(ids_BT)
        rotation = None
        if self.position is not None:
            x_BTD = x_BTD + self.position.weight[positions]
        elif self.sinusoids is not None:
            x_BTD = x_BTD * math.sqrt(x_BTD.shape[-1]) + self.sinusoids[positions].to(x_BTD)
        elif self.rotary is not None:
            rotation = self.rotary.rotation(positions, device=ids_BT.device)
        return self.dropout(x_BTD), rotation
