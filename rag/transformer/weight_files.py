"""Reading model folders: ``config.json`` and safetensors, in one file or in shards. Nothing else is ever loaded."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from rag.errors import ModelError

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's ``config.json``.

    Raises:
        ModelError: it is missing or is not a JSON object.
    """
    return _read_object(folder, CONFIG)


class WeightFiles:
    """The tensors of a model folder by name, read one at a time, so that no more is in memory than is needed.

    Raises:
        ModelError: a file is missing, damaged or not safetensors, or the index names a file outside of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._file_of: dict[str, Any] = {}
        for name in _file_names(folder):
            try:
                file = self._open.enter_context(safe_open(folder / name, framework="pt"))
            except (OSError, SafetensorError) as error:
                self._open.close()
                raise ModelError(f"{folder / name} is not a whole safetensors file ({error}); copy it anew.") from error
            self._file_of.update(dict.fromkeys(file.keys(), file))

    def __enter__(self) -> "WeightFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def names(self) -> set[str]:
        """The names of all tensors."""
        return set(self._file_of)

    def read(self, name: str) -> Tensor:
        """One tensor, in the type that it is stored in.

        Raises:
            ModelError: there is none of this name.
        """
        if name not in self._file_of:
            raise ModelError(f"{self.folder}: the weights lack the tensor {name}; it is needed by {CONFIG}.")
        tensor: Tensor = self._file_of[name].get_tensor(name)
        return tensor


def fill_from(
    module: nn.Module, names: Iterable[str], read: Callable[[str], Tensor], *, dtype: torch.dtype, folder: Path
) -> None:
    """Give a module made on the meta device its tensors, one after the other.

    Args:
        module: what to fill; its tensors take the place of the ones it has, nothing is copied twice.
        names: all names of its ``state_dict``.
        read: the tensor for a name.
        dtype: what to turn them into.
        folder: where they are from, for messages.

    Raises:
        ModelError: a tensor is of another shape than the config says.
    """
    expected: Mapping[str, Tensor] = module.state_dict()
    filled: dict[str, Tensor] = {}
    for name in names:
        tensor = read(name)
        if tensor.shape != expected[name].shape:
            raise ModelError(
                f"{folder}: {name} is {list(tensor.shape)}, but {CONFIG} asks for {list(expected[name].shape)}."
            )
        filled[name] = tensor.to(dtype).contiguous()
    module.load_state_dict(filled, assign=True)


def refuse_unknown(names: Iterable[str], folder: Path) -> None:
    """Refuse tensors that the model would leave unused, for it would compute something else than was trained.

    Raises:
        ModelError: there are any.
    """
    unknown = sorted(names)
    if unknown:
        shown = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
        raise ModelError(f"{folder}: {len(unknown)} tensors are unknown to this kind of model: {shown}.")


def _file_names(folder: Path) -> list[str]:
    if (folder / SINGLE).is_file():
        return [SINGLE]
    if not (folder / INDEX).is_file():
        if any(True for pattern in PICKLED for _ in folder.glob(pattern)):
            raise ModelError(
                f"{folder} has its weights as pickles, which can run code when loaded; convert them to {SINGLE}."
            )
        raise ModelError(f"{folder} is not a model folder: {SINGLE} is missing.")
    shards = _read_object(folder, INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ModelError(f"{folder / INDEX} has no weight_map.")
    for name in shards.values():
        if not isinstance(name, str) or "\\" in name or Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{folder / INDEX} names {name!r}; shards must be safetensors files beside it.")
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: the shard {name} is missing.")
    return sorted(set(shards.values()))


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{folder} is not a model folder: {name} is missing ({error.strerror}).") from error
    except ValueError as error:
        raise ModelError(f"{folder / name} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{folder / name} is not a JSON object.")
    return content
