"""From one text to another, as T5 (Raffel et al., 2020): an encoder reads the source, a decoder writes the target.

Both are built from the layers of ``layers.py``; source and target share one token embedding.

Shapes: B batch, S source positions, T target positions, D width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from rag.transformer.attention import KeyValue, padding_mask, see_before
from rag.transformer.cache import KeyValueCache
from rag.transformer.embedding import PositionedEmbedding
from rag.transformer.initial_weights import start_weights
from rag.transformer.layer_shape import LayerShape
from rag.transformer.layers import TransformerLayer
from rag.transformer.linear import pack_linears
from rag.transformer.norms import make_norm
from rag.transformer.positions import PositionKind, RotaryScaling, count_positions


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceToSequenceConfig:
    """Everything that makes one model differ from another.

    shape: what all layers of both sides are made from.
    max_positions: the longest source and the longest target.
    tied_embedding: the token embedding is the vocabulary matrix too.
    """

    vocabulary: int
    shape: LayerShape
    num_encoder_layers: int
    num_decoder_layers: int
    max_positions: int
    position: PositionKind = "rotary"
    rotary_theta: float = 10_000.0
    rotary_scaling: RotaryScaling | None = None
    tied_embedding: bool = True


class SequenceToSequence(nn.Module):
    """An encoder–decoder over tokens.

    Raises:
        ValueError: the config's sizes do not fit together.
    """

    def __init__(self, config: SequenceToSequenceConfig) -> None:
        super().__init__()
        shape = replace(config.shape, joint_projection=True)
        self.config = config
        self.embedding = PositionedEmbedding(
            shape,
            vocabulary=config.vocabulary,
            max_positions=config.max_positions,
            kind=config.position,
            rotary_theta=config.rotary_theta,
            rotary_scaling=config.rotary_scaling,
        )
        self.encoder = nn.ModuleList(TransformerLayer(shape) for _ in range(config.num_encoder_layers))
        self.decoder = nn.ModuleList(
            TransformerLayer(shape, cross_attention=True) for _ in range(config.num_decoder_layers)
        )
        # Post-norm layers end normalised as it is.
        self.encoder_norm = make_norm(shape.norm, shape.width, shape.norm_eps) if shape.pre_norm else nn.Identity()
        self.decoder_norm = make_norm(shape.norm, shape.width, shape.norm_eps) if shape.pre_norm else nn.Identity()
        self.unembedding = None if config.tied_embedding else nn.Linear(shape.width, config.vocabulary, bias=False)
        start_weights(self, num_layers=max(config.num_encoder_layers, config.num_decoder_layers))

    def pack(self) -> "SequenceToSequence":
        """Lay the matrices out for fast inference on this CPU, where it can; afterwards the model can only be run."""
        pack_linears(self)
        return self.eval()

    def encode(self, ids_BS: Tensor, valid_BS: Tensor) -> list[KeyValue]:
        """Read sources; ``valid`` is false at padding, wherever it stands.

        Returns:
            The memory: what each decoder layer attends to, computed once for all steps.
        """
        S = ids_BS.shape[1]
        positions = count_positions(S, S, None if bool(valid_BS.all()) else valid_BS)
        x_BSD, rotation = self.embedding(ids_BS, positions)
        mask = padding_mask(valid_BS)
        for layer in self.encoder:
            x_BSD, _ = layer(x_BSD, mask=mask, rotation=rotation)
        x_BSD = self.encoder_norm(x_BSD)
        return [layer.project_memory(x_BSD) for layer in self.decoder if isinstance(layer, TransformerLayer)]

    def new_cache(self, batch_size: int, capacity: int) -> KeyValueCache:
        """An empty cache for ``batch_size`` targets of up to ``capacity`` positions."""
        return KeyValueCache.for_layers(
            self.config.shape,
            num_layers=self.config.num_decoder_layers,
            batch_size=batch_size,
            capacity=capacity,
            like=self.embedding.token.weight,
        )

    def decode(
        self, ids_BT: Tensor, memory: Sequence[KeyValue], memory_valid_BS: Tensor, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Logits of what follows each target token, float32 (B, T, V).

        Args:
            ids_BT: the targets so far, without padding on the left; with a cache, the new tokens alone.
            memory: from ``encode``, a row for each target.
            memory_valid_BS: false at the source's padding.
            cache: what was written before; the new positions are added to it.

        Raises:
            ValueError: the tokens do not fit into the cache, or lie behind the model's last position.
        """
        T = ids_BT.shape[1]
        if cache is not None:
            cache.extend(T)
        num_all = T if cache is None else cache.length
        x_BTD, rotation = self.embedding(ids_BT, count_positions(T, num_all))
        mask, causal = see_before(T, num_all, None, like=x_BTD)
        memory_mask = padding_mask(memory_valid_BS)
        for i, layer in enumerate(self.decoder):
            x_BTD, _ = layer(
                x_BTD,
                mask=mask,
                causal=causal,
                rotation=rotation,
                past=None if cache is None else cache.layers[i],
                memory=memory[i],
                memory_mask=memory_mask,
            )
        x_BTD = self.decoder_norm(x_BTD)
        if self.unembedding is None:
            return F.linear(x_BTD, self.embedding.token.weight).float()
        logits_BTV: Tensor = self.unembedding(x_BTD)
        return logits_BTV.float()

    def forward(self, source_BS: Tensor, source_valid_BS: Tensor, target_in_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of what follows each of the given target tokens: what training compares with the targets.

        Padding of shorter targets stands on the right, where nothing real sees it.
        """
        return self.decode(target_in_BT, self.encode(source_BS, source_valid_BS), source_valid_BS)
