"""Sentence embedding by our own transformer: the mean of a BERT-family encoder's states (Reimers and Gurevych, 2019).

Shapes: N texts, B of them in a batch, T tokens, D model width.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import torch
from tokenizers import Tokenizer
from torch import Tensor

from rag.errors import ModelError
from rag.index.padded_batches import PADDED_TO, padded_batches
from rag.transformer.linear import HalfLinear, can_halve, halve_linears, pack_linears
from rag.transformer.models import Encoder, load_bert_encoder
from rag.transformer.tokenization import read_tokenizer


class SentenceEncoder:
    """Mean-pooled states of a BERT-family encoder, as sentence-transformers computes them. Safe between threads.

    In float32, what is encoded together with a text changes no bit of its vector (see ``padded_batches``).
    """

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer, *, max_tokens: int, is_halved: bool = False) -> None:
        """``max_tokens`` of a text are read, those that the tokenizer adds among them.

        ``is_halved``: the weights of the encoder are in half precision. Lengths are padded to a multiple, and beyond
        the last multiple for which the encoder has positions nothing is read.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._encoder, self._tokenizer, self.is_halved = encoder, tokenizer, is_halved
        self._padded_to = HalfLinear.SAFE_ROWS if is_halved else PADDED_TO
        num_positions = encoder.embedding.position.num_embeddings
        self.max_tokens = min(max_tokens, num_positions - num_positions % self._padded_to)
        self.dimension = encoder.shape.width

    @classmethod
    def load(cls, folder: Path, *, dtype: torch.dtype) -> Self:
        """Load a sentence-transformers folder, to compute in ``dtype``.

        Raises:
            ModelError: it holds a model of another kind, or a file is missing or damaged.
        """
        limit = _token_limit_if_mean_pooled(folder)
        encoder = load_bert_encoder(folder, joint_projection=True).eval().to(dtype)
        tokenizer = read_tokenizer(folder)
        return cls(encoder, tokenizer, max_tokens=limit)

    def for_few_rows(self, *, half: bool = True) -> Self:
        """The same model with its matrices laid out for few rows; the embedding of tokens is shared.

        They are in half precision if ``half`` and the processor can. With many rows, plain ones are as fast or faster.
        """
        shared = self._encoder.embedding
        encoder = deepcopy(self._encoder, {id(shared): shared})
        is_halved = half and can_halve()
        if is_halved:
            halve_linears(encoder)
        else:
            pack_linears(encoder)
        return type(self)(encoder, self._tokenizer, max_tokens=self.max_tokens, is_halved=is_halved)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with those that are added, nothing cut off."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], *, batch_size: int) -> Tensor:
        """The vectors (N, D) of ``texts``, float32, of any length; at most ``batch_size`` are computed together."""
        ids = [self._cut(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        vectors_ND = torch.empty(len(texts), self.dimension)
        for length, places in padded_batches([len(one) for one in ids], batch_size, multiple_of=self._padded_to):
            vectors_ND[places] = self._encode_batch([ids[place] for place in places], length)
        return vectors_ND

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]

    def _encode_batch(self, ids: Sequence[list[int]], length: int) -> Tensor:
        """The vectors (B, D) of texts of one padded length."""
        lengths_B1 = torch.tensor([[len(one)] for one in ids])
        valid_BT = torch.arange(length) < lengths_B1
        ids_BT = torch.tensor([one + [0] * (length - len(one)) for one in ids])
        states_BTD = self._encoder(ids_BT, valid_BT=valid_BT).float()
        mean_BD: Tensor = (states_BTD * valid_BT[..., None]).sum(dim=1) / lengths_B1
        return mean_BD


def _token_limit_if_mean_pooled(folder: Path) -> int:
    """How many tokens of a text the folder wants to be read, at most.

    Raises:
        ModelError: anything happens to a text or to its states that is not done here.
    """
    modules = [str(module.get("type", "")).rpartition(".")[2] for module in _read_json(folder / "modules.json")]
    if modules not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(f"{folder}: modules {modules} are not encoder and pooling.")
    pooling = _read_json(folder / "1_Pooling" / "config.json")
    flags = [name for name, value in pooling.items() if name.startswith("pooling_mode_") and value]
    if flags != ["pooling_mode_mean_tokens"] and pooling.get("pooling_mode") != "mean":
        raise ModelError(f"{folder}: its pooling is not the mean.")
    texts = _read_json(folder / "sentence_bert_config.json")
    if texts.get("do_lower_case") or texts.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise ModelError(f"{folder}: texts are prepared in a way that is not done here.")
    prompts = folder / "config_sentence_transformers.json"
    if prompts.exists() and _read_json(prompts).get("default_prompt_name"):
        raise ModelError(f"{folder}: a prompt is put before each text.")
    limit = texts.get("max_seq_length") or _read_json(folder / "tokenizer_config.json").get("model_max_length")
    if not isinstance(limit, int):
        raise ModelError(f"{folder} does not say how many tokens of a text it reads.")
    return limit


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is missing or damaged ({error}).") from error
