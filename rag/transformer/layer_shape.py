"""The sizes and kinds of a transformer layer."""

from dataclasses import dataclass

from rag.transformer.feed_forward import Activation
from rag.transformer.norms import NormKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """The sizes and kinds that all layers of one model share; as they stand, BERT's.

    num_key_value_heads: fewer than ``num_heads`` for grouped-query attention; None for as many.
    head_width: None for width / num_heads.
    pre_norm: normalise before each part rather than after its residual (Xiong et al., 2020).
    joint_projection: self-attention keeps queries, keys and values in one matrix.
    """

    width: int
    num_heads: int
    hidden: int
    norm_eps: float = 1e-12
    dropout: float = 0.0
    num_key_value_heads: int | None = None
    head_width: int | None = None
    norm: NormKind = "layer"
    activation: Activation = "gelu"
    pre_norm: bool = False
    query_key_value_bias: bool = True
    output_bias: bool = True
    feed_forward_bias: bool = True
    query_key_norm: bool = False
    joint_projection: bool = False

    def __post_init__(self) -> None:
        """Check that the parts fit.

        Raises:
            ValueError: they do not.
        """
        if self.head_width is None and self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        if self.num_heads % self.key_value_heads:
            raise ValueError(f"num_heads {self.num_heads} is not a multiple of {self.key_value_heads} key/value heads")
        if self.query_key_norm and not self.joint_projection:
            raise ValueError("query_key_norm needs joint_projection")

    @property
    def key_value_heads(self) -> int:
        """Number of heads that have keys and values of their own."""
        return self.num_key_value_heads or self.num_heads

    @property
    def width_of_head(self) -> int:
        """Width K of one head."""
        return self.head_width or self.width // self.num_heads
