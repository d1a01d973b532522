"""Masked-language modelling over an encoder (Devlin et al., 2019): which token stood at a place?

Shapes: B batch, T positions, D width, V vocabulary, N chosen positions.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rag.errors import ModelError
from rag.transformer.models import Encoder, bert_name, new_bert_encoder, read_bert
from rag.transformer.unfilled import unfilled
from rag.transformer.weight_files import WeightFiles, fill_from, read_config


class MaskedLanguageModel(nn.Module):
    """An encoder with BERT's head: one linear map, GELU, LayerNorm, then the token embeddings as vocabulary matrix."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        shape = encoder.shape
        self.encoder = encoder
        self.transform = nn.Linear(shape.width, shape.width)
        self.transform_norm = nn.LayerNorm(shape.width, eps=shape.norm_eps)
        self.bias = nn.Parameter(torch.zeros(encoder.embedding.token.num_embeddings))

    def forward(
        self,
        ids_BT: Tensor,
        valid_BT: Tensor,
        segments_BT: Tensor | None = None,
        select: Tensor | None = None,
    ) -> Tensor:
        """Logits over the vocabulary, float32 (B, T, V).

        Args:
            ids_BT: the tokens, some of them masked.
            valid_BT: false at padding.
            segments_BT: BERT's segment of each token, 0 if None.
            select: boolean (B, T): only these positions are computed, row after row, (N, V). In training few of them
                count, and the vocabulary costs most.
        """
        x_XD: Tensor = self.encoder(ids_BT, segments_BT=segments_BT, valid_BT=valid_BT)
        if select is not None:
            x_XD = x_XD[select]
        h_XD = self.transform_norm(F.gelu(self.transform(x_XD)))
        return F.linear(h_XD, self.encoder.embedding.token.weight).float() + self.bias


_HEAD = {
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
}


def load_masked_language_model(folder: Path, *, dropout: float = 0.0) -> MaskedLanguageModel:
    """Load a BERT-family folder with its masked-language head, float32.

    Raises:
        ModelError: a file or a tensor is missing or misshapen, the weights are of another family, or the head has a
            vocabulary matrix of its own.
    """
    if not read_config(folder).get("tie_word_embeddings", True):
        raise ModelError(f"{folder}: a vocabulary matrix apart from the token embeddings is not supported.")
    with unfilled():
        model = MaskedLanguageModel(new_bert_encoder(folder, dropout=dropout))
    with WeightFiles(folder) as files:
        fill_from(model, model.state_dict(), lambda name: _read(files, name), dtype=torch.float32, folder=folder)
    return model


def _read(files: WeightFiles, name: str) -> Tensor:
    if name == "bias":
        return files.read("cls.predictions.bias")
    if name.startswith("encoder."):
        return read_bert(files, bert_name(name.removeprefix("encoder.")))
    stem, _, kind = name.rpartition(".")
    return read_bert(files, f"{_HEAD[stem]}.{kind}")
