"""A decoder-only language model: from tokens to the logits of the next ones (GPT-2, Llama, Qwen2, Qwen3 and the like).

It knows nothing of text, and nothing of how tokens are chosen.

Shapes: B batch, T new positions, S positions so far, D width, V vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from rag.transformer.attention import see_before
from rag.transformer.cache import KeyValueCache
from rag.transformer.embedding import PositionedEmbedding
from rag.transformer.feed_forward import Activation
from rag.transformer.initial_weights import start_weights
from rag.transformer.layer_shape import LayerShape
from rag.transformer.layers import TransformerLayer
from rag.transformer.linear import Int8Linear, PackedLinear, can_pack, pack_linears, quantize_linears
from rag.transformer.norms import NormKind, make_norm
from rag.transformer.positions import PositionKind, RotaryScaling, count_positions


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelConfig:
    """Everything that makes one model differ from another; as it stands, a small Llama's kinds.

    num_key_value_heads, head_width: None for ``num_heads`` and for width / num_heads.
    hidden: width inside the feed-forward part.
    query_key_norm: RMSNorm on each head's queries and keys (Qwen3).
    tied_embedding: the token embedding is the vocabulary matrix too.
    """

    vocabulary: int
    width: int
    num_layers: int
    num_heads: int
    hidden: int
    max_positions: int
    num_key_value_heads: int | None = None
    head_width: int | None = None
    position: PositionKind = "rotary"
    rotary_theta: float = 10_000.0
    rotary_scaling: RotaryScaling | None = None
    norm: NormKind = "rms"
    norm_eps: float = 1e-5
    pre_norm: bool = True
    activation: Activation = "swiglu"
    query_key_value_bias: bool = False
    output_bias: bool = False
    feed_forward_bias: bool = False
    query_key_norm: bool = False
    tied_embedding: bool = True
    dropout: float = 0.0

    @property
    def layer_shape(self) -> LayerShape:
        """What each layer is made from."""
        return LayerShape(
            width=self.width,
            num_heads=self.num_heads,
            hidden=self.hidden,
            norm_eps=self.norm_eps,
            dropout=self.dropout,
            num_key_value_heads=self.num_key_value_heads,
            head_width=self.head_width,
            norm=self.norm,
            activation=self.activation,
            pre_norm=self.pre_norm,
            query_key_value_bias=self.query_key_value_bias,
            output_bias=self.output_bias,
            feed_forward_bias=self.feed_forward_bias,
            query_key_norm=self.query_key_norm,
            joint_projection=True,
        )


class LanguageModel(nn.Module):
    """A causal transformer over one sequence of tokens.

    Raises:
        ValueError: the config's sizes do not fit together.
    """

    def __init__(self, config: LanguageModelConfig) -> None:
        super().__init__()
        shape = config.layer_shape
        self.config = config
        self.embedding = PositionedEmbedding(
            shape,
            vocabulary=config.vocabulary,
            max_positions=config.max_positions,
            kind=config.position,
            rotary_theta=config.rotary_theta,
            rotary_scaling=config.rotary_scaling,
        )
        self.layers = nn.ModuleList(TransformerLayer(shape) for _ in range(config.num_layers))
        # Post-norm layers end normalised as it is.
        self.norm = make_norm(config.norm, config.width, config.norm_eps) if config.pre_norm else None
        self.unembedding: nn.Module | None = None
        if not config.tied_embedding:
            self.unembedding = nn.Linear(config.width, config.vocabulary, bias=False)
        self.packed = False
        start_weights(self, num_layers=config.num_layers)

    def pack(self) -> "LanguageModel":
        """Lay the matrices out for fast inference on this CPU, where it can; see ``rag.transformer.linear``.

        Afterwards the model can only be run: not trained, moved to another device or saved.
        """
        token_VD = self.embedding.token.weight
        pack_linears(self)
        if self.unembedding is None and can_pack(token_VD):
            self.unembedding = PackedLinear(token_VD, None)
        self.packed = True
        return self.eval()

    def quantize(self) -> "LanguageModel":
        """Round the matrices to 8-bit integers: less memory, and faster where one token is written at a time.

        Afterwards, as after ``pack``, the model can only be run. The vocabulary's embeddings stay as they are.
        """
        token_VD = self.embedding.token.weight
        quantize_linears(self)
        if self.unembedding is None:
            self.unembedding = Int8Linear(token_VD, None)
        self.packed = True
        return self.eval()

    def new_cache(self, batch_size: int, capacity: int) -> KeyValueCache:
        """An empty cache for ``batch_size`` rows of up to ``capacity`` positions, padding counted."""
        return KeyValueCache.for_layers(
            self.config.layer_shape,
            num_layers=self.config.num_layers,
            batch_size=batch_size,
            capacity=capacity,
            like=self.embedding.token.weight,
        )

    def forward(
        self,
        ids_BT: Tensor,
        valid_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        last: int | None = None,
    ) -> Tensor:
        """Logits of what follows each token, float32 (B, T, V).

        Args:
            ids_BT: the tokens; with a cache, the new ones alone.
            valid_BT: false at padding, which must stand on the left; None if there is none. A token's position is the
                number of real tokens before it in its row, so padding changes nothing.
            cache: what was read before; the new positions are added to it.
            last: only the last ``last`` positions pass the vocabulary matrix, which costs most: (B, last, V).

        Raises:
            ValueError: the tokens do not fit into the cache, or lie behind the model's last position; after the latter
                the cache must be cut back with ``truncate`` before it is used again.
        """
        T = ids_BT.shape[1]
        if cache is not None:
            cache.extend(T, valid_BT)
            S, valid_BS = cache.length, cache.valid_BS if cache.padded else None
        else:
            S, valid_BS = T, None if valid_BT is None or bool(valid_BT.all()) else valid_BT
        x_BTD, rotation = self.embedding(ids_BT, count_positions(T, S, valid_BS))
        mask, causal = see_before(T, S, valid_BS, like=x_BTD)
        for i, layer in enumerate(self.layers):
            past = None if cache is None else cache.layers[i]
            x_BTD, _ = layer(x_BTD, mask=mask, causal=causal, rotation=rotation, past=past)
        return self._logits(x_BTD if last is None else x_BTD[:, -last:])

    def _logits(self, x_BTD: Tensor) -> Tensor:
        if self.norm is not None:
            x_BTD = self.norm(x_BTD)
        if self.unembedding is None:
            return F.linear(x_BTD, self.embedding.token.weight).float()
        logits_BTV: Tensor = self.unembedding(x_BTD)
        return logits_BTV.float()
