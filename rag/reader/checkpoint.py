"""Saving and loading the reader: ``config.json`` and ``reader.safetensors`` in one folder.

The token embeddings are not in it: they are those of the encoder it was started from, which the embedding package
carries. Their SHA-256 is kept, as is that of the weights file, and both are checked when the reader is loaded.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rag.disk import file_sha256
from rag.errors import ModelError
from rag.reader.model import ReaderModel
from rag.transformer.models import load_bert_encoder
from rag.transformer.unfilled import unfilled

FORMAT = 2
WEIGHTS = "reader.safetensors"
SHARED = "encoder.embedding.token.weight"
SHIPPED_WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """What stands in ``config.json``.

    ``scoring`` weighs the parts of a span's score. ``answerable``, ``right`` and ``relevance`` are the logistic
    regressions of ``rag.reader.confidence``: there is an answer; the answer is right if there is one; a passage holds
    one. ``faithful`` is that of ``rag.reader.evidence``: the cited passage alone supports the answer; empty where it
    was not fitted. All were fitted on articles kept out of training. Below an answerability of ``abstain_below`` an
    answer is to be withheld.
    """

    format: int = FORMAT
    name: str = "reader"
    encoder: str = "all-MiniLM-L6-v2"
    num_decoder_layers: int = 3
    passage_tokens: int = 200
    token_embedding_sha256: str = ""
    weights_sha256: str = ""
    scoring: Mapping[str, float] = field(default_factory=dict)
    answerable: Mapping[str, float] = field(default_factory=dict)
    right: Mapping[str, float] = field(default_factory=dict)
    relevance: Mapping[str, float] = field(default_factory=lambda: {"relevance": 1.0})
    faithful: Mapping[str, float] = field(default_factory=dict)
    abstain_below: float = 0.0
    training: Mapping[str, Any] = field(default_factory=dict)


def tensor_sha256(tensor: Tensor) -> str:
    """SHA-256 of a tensor's values as float32."""
    return hashlib.sha256(tensor.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()


def new_reader(encoder_folder: Path, *, num_decoder_layers: int, dropout: float, seed: int) -> ReaderModel:
    """A reader to be trained: encoder and decoder warm-started, heads at random from ``seed``."""
    torch.manual_seed(seed)
    model = ReaderModel(load_bert_encoder(encoder_folder, dropout=dropout), num_decoder_layers=num_decoder_layers)
    model.warm_start_decoder()
    return model


def save_config(folder: Path, config: ReaderConfig) -> None:
    """Write ``config.json``."""
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def save_reader(folder: Path, model: ReaderModel, config: ReaderConfig) -> ReaderConfig:
    """Write weights (float16) and config; returns the config as it was stored, with the checksums filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != SHARED
    }
    path = folder / WEIGHTS
    save_file(weights, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; weights are there to be shared
    filled = ReaderConfig(
        **{
            **asdict(config),
            "token_embedding_sha256": tensor_sha256(model.encoder.embedding.token.weight),
            "weights_sha256": file_sha256(path),
        }
    )
    save_config(folder, filled)
    return load_config(folder)


def load_config(folder: Path) -> ReaderConfig:
    """Read ``config.json``.

    Raises:
        ModelError: it is missing, is not JSON, or is of another format.
    """
    path = folder / "config.json"
    try:
        config = ReaderConfig(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"No reader in {folder}: {error.strerror}; set reader_weights to a trained reader.") from error
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} is not a reader's config: {error}.") from error
    if config.format != FORMAT:
        raise ModelError(f"{path} has format {config.format}; this version reads format {FORMAT}.")
    return config


def load_reader(folder: Path, encoder_folder: Path) -> tuple[ReaderModel, ReaderConfig]:
    """Load a reader over the encoder it was started from, ready to answer (float32, no dropout).

    Raises:
        ModelError: files are missing, damaged, or belong to another encoder.
    """
    config = load_config(folder)
    path = folder / WEIGHTS
    try:
        if file_sha256(path) != config.weights_sha256:
            raise ModelError(f"{path} is damaged: its SHA-256 is not the one in config.json; restore it.")
        weights = load_file(path)
    except OSError as error:
        raise ModelError(f"No reader in {folder}: {error.strerror}.") from error
    except SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file: {error}.") from error
    encoder = load_bert_encoder(encoder_folder)
    if tensor_sha256(encoder.embedding.token.weight) != config.token_embedding_sha256:
        raise ModelError(f"The reader in {folder} was trained over {config.encoder}, not over {encoder_folder}.")
    with unfilled():
        model = ReaderModel(encoder, num_decoder_layers=config.num_decoder_layers)
    weights[SHARED] = encoder.embedding.token.weight.detach()
    try:
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit this version's reader: {error}") from error
    return model.eval().requires_grad_(requires_grad=False), config
