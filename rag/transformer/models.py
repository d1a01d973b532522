"""An encoder and a decoder as BERT and the reader have them, and the loading of BERT-family weights into the encoder.

Shapes as in ``attention.py``.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rag.errors import ModelError
from rag.transformer.attention import KeyValue, additive_mask, causal_mask, padding_mask
from rag.transformer.embedding import TokenEmbedding
from rag.transformer.layer_shape import LayerShape
from rag.transformer.layers import TransformerLayer
from rag.transformer.unfilled import unfilled
from rag.transformer.weight_files import CONFIG, WeightFiles, fill_from, read_config


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
        self.layers = nn.ModuleList(TransformerLayer(shape) for _ in range(num_layers))

    def forward(self, ids_BT: Tensor, *, segments_BT: Tensor | None = None, valid_BT: Tensor) -> Tensor:
        """States (B, T, D) of the tokens; ``valid`` is true at tokens that are not padding."""
        x_BTD: Tensor = self.embedding(ids_BT, segments_BT=segments_BT)
        mask = additive_mask(padding_mask(valid_BT), x_BTD.dtype)
        for layer in self.layers:
            x_BTD, _ = layer(x_BTD, mask=mask)
        return x_BTD


class Decoder(nn.Module):
    """A causal decoder with cross-attention. It embeds nothing itself: the caller shares an embedding with it."""

    def __init__(self, shape: LayerShape, *, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(shape, cross_attention=True) for _ in range(num_layers))

    def project(self, memory_BSD: Tensor) -> list[KeyValue]:
        """The memory's keys and values for each layer: computed once, read at every step."""
        return [layer.project_memory(memory_BSD) for layer in self._decoder_layers()]

    def _decoder_layers(self) -> Sequence[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]

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


_BERT_LAYER = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
_JOINED = ("query", "key", "value")
_BERT_EMBEDDING = {
    "embedding.token": "embeddings.word_embeddings",
    "embedding.position": "embeddings.position_embeddings",
    "embedding.segment": "embeddings.token_type_embeddings",
    "embedding.norm": "embeddings.LayerNorm",
}


def bert_name(name: str) -> str:
    """What a BERT checkpoint calls the ``Encoder``'s tensor ``name``."""
    stem, _, kind = name.rpartition(".")
    if stem in _BERT_EMBEDDING:
        return f"{_BERT_EMBEDDING[stem]}.{kind}"
    _, number, part = stem.split(".", 2)
    return f"encoder.layer.{number}.{_BERT_LAYER[part]}.{kind}"


def read_bert(files: WeightFiles, name: str) -> Tensor:
    """A BERT tensor by its name in newer checkpoints: older ones lack the prefix, or say gamma and beta."""
    older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    for known in (name, f"bert.{name}", older, f"bert.{older}"):
        if known in files.names:
            return files.read(known)
    return files.read(name)


def new_bert_encoder(folder: Path, *, dropout: float = 0.0, joint_projection: bool = False) -> Encoder:
    """The encoder that a BERT-family folder's config describes, on the meta device.

    Raises:
        ModelError: the config is missing, or of another family.
    """
    config = read_config(folder)
    if config.get("model_type") != "bert":
        raise ModelError(f"{folder} holds a {config.get('model_type')!r} model; a BERT-family model is needed.")
    for option, only in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(option, only) != only:
            raise ModelError(f"{folder / CONFIG}: {option}={config[option]!r} is not supported.")
    try:
        shape = LayerShape(
            width=config["hidden_size"],
            num_heads=config["num_attention_heads"],
            hidden=config["intermediate_size"],
            norm_eps=config["layer_norm_eps"],
            dropout=dropout,
            joint_projection=joint_projection,
        )
        with unfilled():
            return Encoder(
                shape,
                num_layers=config["num_hidden_layers"],
                vocabulary=config["vocab_size"],
                max_positions=config["max_position_embeddings"],
                num_segments=config["type_vocab_size"],
            )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / CONFIG} does not describe a BERT model: {error}.") from error


def load_bert_encoder(folder: Path, *, dropout: float = 0.0, joint_projection: bool = False) -> Encoder:
    """Load the encoder of a BERT-family folder (``config.json``, safetensors), float32; heads are left out.

    With ``joint_projection`` queries, keys and values come out of one product, which few tokens gain by.

    Raises:
        ModelError: a file or a tensor is missing or misshapen, or the weights are of another family.
    """
    with WeightFiles(folder) as files:
        encoder = new_bert_encoder(folder, dropout=dropout, joint_projection=joint_projection)
        fill_from(
            encoder,
            encoder.state_dict(),
            lambda name: _read_joined(files, name),
            dtype=torch.float32,
            folder=folder,
        )
    return encoder


def _read_joined(files: WeightFiles, name: str) -> Tensor:
    """The ``Encoder``'s tensor ``name``, put together where the checkpoint keeps its parts."""
    before, joint, after = name.partition("query_key_value")
    if not joint:
        return read_bert(files, bert_name(name))
    return torch.cat([read_bert(files, bert_name(before + part + after)) for part in _JOINED])
