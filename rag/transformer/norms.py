"""Normalisation of each position's state: LayerNorm (Ba et al., 2016) or RMSNorm (Zhang and Sennrich, 2019)."""

from typing import Literal, TypeAlias

from torch import nn

NormKind: TypeAlias = Literal["layer", "rms"]


def make_norm(kind: NormKind, width: int, eps: float) -> nn.Module:
    """A norm over the last dimension.

    LayerNorm takes off the mean and divides by the deviation, with a learned scale and shift. RMSNorm leaves the mean
    in place and divides by the root mean square, with a learned scale alone.

    Raises:
        ValueError: there is no such norm.
    """
    if kind == "layer":
        return nn.LayerNorm(width, eps=eps)
    if kind == "rms":
        return nn.RMSNorm(width, eps=eps)
    raise ValueError(f"no norm is called {kind!r}")
