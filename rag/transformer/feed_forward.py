"""The feed-forward part of a layer, applied at each position alone: two linear maps with ReLU or GELU, or SwiGLU.

Shapes: B batch, T positions, D model width, X hidden width.
"""

from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

Activation: TypeAlias = Literal["gelu", "gelu_tanh", "relu", "swiglu"]


class FeedForward(nn.Module):
    """Two linear maps with a ReLU (Vaswani et al., 2017) or a GELU (Hendrycks and Gimpel, 2016) between.

    ``gelu_tanh`` is the GELU's approximation by tanh, which GPT-2 was trained with.
    """

    def __init__(self, width: int, hidden: int, *, activation: Activation = "gelu", bias: bool = True) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        h_BTX = self.up(x_BTD)
        if self.activation == "relu":
            h_BTX = F.relu(h_BTX)
        else:
            h_BTX = F.gelu(h_BTX, approximate="tanh" if self.activation == "gelu_tanh" else "none")
        y_BTD: Tensor = self.down(h_BTX)
        return y_BTD


class GatedFeedForward(nn.Module):
    """SwiGLU (Shazeer, 2020): down(silu(gate(x)) · up(x)). One matrix holds gate, then up."""

    def __init__(self, width: int, hidden: int, *, bias: bool = False) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        gate_BTX, up_BTX = self.gate_up(x_BTD).chunk(2, dim=-1)
        y_BTD: Tensor = self.down(F.silu(gate_BTX) * up_BTX)
        return y_BTD


def make_feed_forward(width: int, hidden: int, *, activation: Activation, bias: bool) -> nn.Module:
    """The feed-forward part for an activation.

    Raises:
        ValueError: there is no such activation.
    """
    if activation == "swiglu":
        return GatedFeedForward(width, hidden, bias=bias)
    if activation in ("gelu", "gelu_tanh", "relu"):
        return FeedForward(width, hidden, activation=activation, bias=bias)
    raise ValueError(f"no activation is called {activation!r}")
