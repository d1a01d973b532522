"""An encoder and a decoder built from the layers, and the loading of BERT-family weights into the encoder.

Shapes as in ``attention.py``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rag.errors import ModelError
from rag.transformer.attention import KeyValue, causal_mask, padding_mask
from rag.transformer.layers import DecoderLayer, EncoderLayer, LayerShape, TokenEmbedding


class Encoder(nn.Module):
    """A bidirectional encoder of the BERT family (Devlin et al., 2019), without a head."""

    def __init__(
        self, shape: LayerShape, *, num_layers: int, vocabulary: int, max_positions: int, num_segments: int = 2
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = TokenEmbedding(
            shape, vocabulary=vocabulary, max_positions=max_positions, num_segments=num_segments
        )
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(num_layers))

    def forward(self, ids_BT: Tensor, *, segments_BT: Tensor | None = None, valid_BT: Tensor) -> Tensor:
        """States (B, T, D) of the tokens; ``valid`` is true at tokens that are not padding."""
        x_BTD: Tensor = self.embedding(ids_BT, segments_BT=segments_BT)
        mask = padding_mask(valid_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask=mask)
        return x_BTD


class Decoder(nn.Module):
    """A causal decoder with cross-attention. It embeds nothing itself: the caller shares an embedding with it."""

    def __init__(self, shape: LayerShape, *, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(num_layers))

    def project(self, memory_BSD: Tensor) -> list[KeyValue]:
        """The memory's keys and values for each layer: computed once, read at every step."""
        return [layer.cross_attention.project(memory_BSD) for layer in self._decoder_layers()]

    def _decoder_layers(self) -> Sequence[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def forward(
        self,
        x_BTD: Tensor,
        *,
        memory: Sequence[KeyValue],
        memory_valid_BS: Tensor,
        past: Sequence[KeyValue] | None = None,
    ) -> tuple[Tensor, list[KeyValue]]:
        """States of T new positions, and the cache to pass as ``past`` with the next ones."""
        num_past = past[0].key_BHSK.shape[2] if past else 0
        mask = causal_mask(x_BTD.shape[1], num_past + x_BTD.shape[1], device=x_BTD.device)
        memory_mask = padding_mask(memory_valid_BS)
        grown: list[KeyValue] = []
        for i, layer in enumerate(self._decoder_layers()):
            x_BTD, seen = layer(
                x_BTD, past=past[i] if past else None, mask=mask, memory=memory[i], memory_mask=memory_mask
            )
            grown.append(seen)
        return x_BTD, grown


_BERT_NAMES = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "feed_forward.up",
    "output.dense": "feed_forward.down",
    "output.LayerNorm": "feed_forward_norm",
}
_BERT_EMBEDDINGS = {
    "embeddings.word_embeddings": "embedding.token",
    "embeddings.position_embeddings": "embedding.position",
    "embeddings.token_type_embeddings": "embedding.segment",
    "embeddings.LayerNorm": "embedding.norm",
}


def rename_bert_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of a BERT checkpoint the names of ``Encoder``; what the encoder lacks (poolers) is left out."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        stem, _, kind = name.removeprefix("bert.").rpartition(".")
        if stem in _BERT_EMBEDDINGS:
            renamed[f"{_BERT_EMBEDDINGS[stem]}.{kind}"] = tensor
        elif stem.startswith("encoder.layer."):
            number, _, part = stem.removeprefix("encoder.layer.").partition(".")
            renamed[f"layers.{number}.{_BERT_NAMES[part]}.{kind}"] = tensor
    return renamed


def load_bert_encoder(folder: Path, *, dropout: float = 0.0) -> Encoder:
    """Load the encoder of a BERT-family folder (``config.json``, ``model.safetensors``).

    Raises:
        ModelError: a file is missing, or the weights are of another family.
    """
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} is not a model folder: {name} is missing.")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "model.safetensors")
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ModelError(f"{folder} holds a {config.get('model_type')!r} model; a BERT-family model is needed.")
    shape = LayerShape(
        width=config["hidden_size"],
        num_heads=config["num_attention_heads"],
        hidden=config["intermediate_size"],
        norm_eps=config["layer_norm_eps"],
        dropout=dropout,
    )
    with torch.device("meta"):
        encoder = Encoder(
            shape,
            num_layers=config["num_hidden_layers"],
            vocabulary=config["vocab_size"],
            max_positions=config["max_position_embeddings"],
            num_segments=config["type_vocab_size"],
        )
    encoder.load_state_dict({k: v.float() for k, v in rename_bert_weights(weights).items()}, assign=True)
    return encoder
