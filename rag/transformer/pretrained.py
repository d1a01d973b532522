"""Loading language models from folders of the GPT-2, Llama, Qwen2 and Qwen3 families, and keeping our own."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from rag.errors import ModelError
from rag.transformer.families import Names, understand
from rag.transformer.language_model import LanguageModel, LanguageModelConfig
from rag.transformer.positions import RotaryScaling
from rag.transformer.unfilled import unfilled
from rag.transformer.weight_files import CONFIG, SINGLE, WeightFiles, fill_from, read_config, refuse_unknown

OWN_FAMILY = "rag_language_model"
OWN_FORMAT = 1


def load_language_model(folder: Path, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """Load a language model from a folder (``config.json``, ``model.safetensors`` or its shards), ready to run.

    Tensors are read one by one into a model without memory, so little more than the weights is held at any time. For
    inference alone, ``load_language_model(folder).pack()`` is faster.

    Args:
        folder: of a published model or from ``save_language_model``.
        dtype: what the weights are turned into; float32 or bfloat16.

    Raises:
        ModelError: a file or a tensor is missing, damaged or misshapen, the weights are pickles, tensors are left over,
            or the family or one of its options is not supported.
    """
    config = read_config(folder)
    if config.get("model_type") == OWN_FAMILY:
        shape, names = _own_config(config, folder), None
    else:
        shape, names = understand(config)
    try:
        with unfilled():
            model = LanguageModel(shape)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder / CONFIG} does not describe a model: {error}.") from error
    with WeightFiles(folder) as files:
        reader = _Reader(files, names)
        fill_from(model, model.state_dict(), reader.read, dtype=dtype, folder=folder)
        refuse_unknown(reader.unread(), folder)
    return model.eval()


def save_language_model(model: LanguageModel, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, in the type the weights have, for ``load_language_model``.

    Raises:
        ValueError: the model was packed for inference.
    """
    if model.packed:
        raise ValueError("a packed model cannot be saved; save it before pack()")
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": OWN_FAMILY, "format": OWN_FORMAT, **asdict(model.config)}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    path = folder / SINGLE
    save_file({name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; weights are there to be shared


class _Reader:
    """Reads our tensors out of files that may call, split and turn them otherwise."""

    def __init__(self, files: WeightFiles, names: Names | None) -> None:
        self._files = files
        self._names = names
        self._unread = files.names

    def read(self, name: str) -> Tensor:
        if self._names is None:
            return self._take(name)
        parts = [self._take(theirs) for theirs in self._names.theirs(name)]
        if self._names.transposed and name.startswith("layers.") and parts[0].dim() == 2:
            parts = [part.T for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _take(self, name: str) -> Tensor:
        if self._names is not None and name not in self._unread:
            bare = name.removeprefix(self._names.prefix)
            name = bare if bare in self._unread else name
        tensor = self._files.read(name)
        self._unread.discard(name)
        return tensor

    def unread(self) -> set[str]:
        """What was not asked for, though it may have been learned."""
        if self._names is None:
            return self._unread
        # Where the embedding is tied, files may repeat it as the vocabulary matrix.
        return {name for name in self._unread if not name.endswith((*self._names.ignored, "lm_head.weight"))}


def _own_config(config: dict[str, Any], folder: Path) -> LanguageModelConfig:
    if config.get("format") != OWN_FORMAT:
        raise ModelError(
            f"{folder / CONFIG} has format {config.get('format')!r}; this version reads format {OWN_FORMAT}."
        )
    fields = {name: value for name, value in config.items() if name not in ("model_type", "format")}
    try:
        if fields.get("rotary_scaling"):
            fields["rotary_scaling"] = RotaryScaling(**fields["rotary_scaling"])
        return LanguageModelConfig(**fields)
    except TypeError as error:
        raise ModelError(f"{folder / CONFIG} does not describe a language model: {error}.") from error
