"""The transformer layer that every model here is built from, with and without cross-attention.

Shapes as in ``attention.py``.
"""

from torch import Tensor, nn

from rag.transformer.attention import KeyValue, MultiHeadAttention, Past, SelfAttention
from rag.transformer.feed_forward import make_feed_forward
from rag.transformer.layer_shape import LayerShape
from rag.transformer.norms import make_norm
from rag.transformer.positions import Rotation


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention to a memory if asked for, then feed-forward; a residual around each."""

    def __init__(self, shape: LayerShape, *, cross_attention: bool = False) -> None:
        super().__init__()
        self.pre_norm = shape.pre_norm
        self.attention = SelfAttention(shape) if shape.joint_projection else MultiHeadAttention(shape)
        self.attention_norm = make_norm(shape.norm, shape.width, shape.norm_eps)
        self.cross_attention = MultiHeadAttention(shape) if cross_attention else None
        self.cross_attention_norm = make_norm(shape.norm, shape.width, shape.norm_eps) if cross_attention else None
        self.feed_forward = make_feed_forward(
            shape.width, shape.hidden, activation=shape.activation, bias=shape.feed_forward_bias
        )
        self.feed_forward_norm = make_norm(shape.norm, shape.width, shape.norm_eps)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(
        self,
        x_BTD: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        rotation: Rotation | None = None,
        past: Past | None = None,
        memory: KeyValue | None = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, KeyValue]:
        """New states of T positions, and the keys and values they attended to.

        Args:
            x_BTD: the states.
            mask: who sees whom in self-attention, as in ``dot_product_attention``.
            causal: each position sees itself and what came before; without ``past`` and without ``mask``.
            rotation: rotary positions.
            past: what this layer saw before; the new positions are appended to it.
            memory: what cross-attention reads, from ``project_memory``; needed if this layer has it.
            memory_mask: which positions of the memory may be read.
        """
        h_BTD = self.attention_norm(x_BTD) if self.pre_norm else x_BTD
        q_BHTK, own = self.attention.project(h_BTD, rotation)
        seen = own if past is None else past.append(own)
        x_BTD = self._add(x_BTD, self.attention.attend(q_BHTK, seen, mask=mask, causal=causal), self.attention_norm)
        if self.cross_attention is not None and self.cross_attention_norm is not None:
            assert memory is not None, "a layer with cross-attention needs a memory"
            h_BTD = self.cross_attention_norm(x_BTD) if self.pre_norm else x_BTD
            q_BHTK = self.cross_attention.project_query(h_BTD)
            read_BTD = self.cross_attention.attend(q_BHTK, memory, mask=memory_mask)
            x_BTD = self._add(x_BTD, read_BTD, self.cross_attention_norm)
        h_BTD = self.feed_forward_norm(x_BTD) if self.pre_norm else x_BTD
        return self._add(x_BTD, self.feed_forward(h_BTD), self.feed_forward_norm), seen

    def project_memory(self, memory_BSD: Tensor) -> KeyValue:
        """The memory's keys and values for this layer: computed once, read at every step."""
        assert self.cross_attention is not None, "only a layer with cross-attention reads a memory"
        return self.cross_attention.project_memory(memory_BSD)

    def _add(self, x_BTD: Tensor, change_BTD: Tensor, norm: nn.Module) -> Tensor:
        x_BTD = x_BTD + (self.dropout(change_BTD) if self.training else change_BTD)
        if self.pre_norm:
            return x_BTD
        y_BTD: Tensor = norm(x_BTD)
        return y_BTD
