"""How a model knows the order of its tokens: sinusoidal, learned or rotary positions.

Shapes: B batch, T positions, D model width, N heads, K width of a head, P positions in a table. ``positions`` is
a slice where all rows of a batch count alike, or an integer (B, T) where padding makes them differ; a table is
indexed by either.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

Positions: TypeAlias = slice | Tensor
PositionKind: TypeAlias = Literal["learned", "sinusoidal", "rotary"]


class Rotation(NamedTuple):
    """By how much to turn each position: cosines, and sines with the sign of the formula, (T, 1, K) or (B, T, 1, K)."""

    cos: Tensor
    sin: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RotaryScaling:
    """Llama 3's stretching of rotary positions to longer texts (Dubey et al., 2024, and the released code).

    Slow frequencies, with less than ``low_frequency_factor`` turns over ``original_positions``, are divided by
    ``factor``; fast ones, with more than ``high_frequency_factor`` turns, stay; between them it goes over smoothly.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_positions: int


def count_positions(num_new: int, num_all: int, valid_BS: Tensor | None = None) -> Positions:
    """The positions of the last ``num_new`` of ``num_all`` tokens; tokens that are not valid do not count."""
    if valid_BS is None:
        return slice(num_all - num_new, num_all)
    return (valid_BS.cumsum(dim=1)[:, -num_new:] - 1).clamp(min=0)


def positions_end(positions: Positions) -> int:
    """One more than the last of these positions."""
    return int(positions.stop) if isinstance(positions, slice) else int(positions.max()) + 1


def sinusoidal_table(num_positions: int, width: int) -> Tensor:
    """The (P, D) sinusoids of Vaswani et al. (2017), section 3.5: sines at even places, cosines at odd ones."""
    frequencies = _frequencies(width, 10_000.0)
    angles = torch.arange(num_positions, dtype=torch.float64, device="cpu")[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].float()


class RotaryPositions:
    """Rotary positions (Su et al., 2021): queries and keys are turned, so that their products know only distances.

    The tables are made when first needed and grow by doubling, for a model may allow far more positions than it meets.
    """

    def __init__(
        self, head_width: int, *, max_positions: int, theta: float = 10_000.0, scaling: RotaryScaling | None = None
    ) -> None:
        if head_width % 2:
            raise ValueError(f"rotary positions need an even head_width, not {head_width}")
        self.max_positions = max_positions
        self._frequencies = _scaled(_frequencies(head_width, theta), scaling)
        self._table = self._make_table(0, torch.device("cpu"))

    def rotation(self, positions: Positions, *, device: torch.device) -> Rotation:
        """The rotation of these positions."""
        end = positions_end(positions)
        table = self._table
        if end > table.cos.shape[0] or table.cos.device != device:
            table = self._make_table(min(self.max_positions, max(2 * table.cos.shape[0], end, 256)), device)
            self._table = table
        return Rotation(table.cos[positions], table.sin[positions])

    def _make_table(self, num_positions: int, device: torch.device) -> Rotation:
        with torch.inference_mode(mode=False):  # a table made during inference must serve training too
            angles = torch.arange(num_positions, dtype=torch.float64, device="cpu")[:, None] * self._frequencies
            cos, sin = angles.cos().float()[:, None], angles.sin().float()[:, None]
            return Rotation(torch.cat([cos, cos], dim=-1).to(device), torch.cat([-sin, sin], dim=-1).to(device))


def rotate(x_BTNK: Tensor, rotation: Rotation) -> Tensor:
    """Turn the pairs (i, i + K/2) of each head by its position's angles; computed in float32, given back as it came."""
    half = x_BTNK.shape[-1] // 2
    turned = torch.addcmul(x_BTNK * rotation.cos, x_BTNK.roll(half, dims=-1), rotation.sin)
    return turned.to(x_BTNK.dtype)


def _frequencies(width: int, theta: float) -> Tensor:
    """Angles per position, falling from 1 to nearly 1/theta, for each pair of a vector of ``width``."""
    return theta ** -(torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)


def _scaled(frequencies: Tensor, scaling: RotaryScaling | None) -> Tensor:
    if scaling is None:
        return frequencies
    turns = scaling.original_positions * frequencies / (2 * math.pi)
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * kept + frequencies / scaling.factor * (1 - kept)
