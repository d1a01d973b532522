"""Checkpoints of the trainer: files that are complete or not there, whatever happens while they are written."""

import os
import pickle
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from rag.disk import flush
from rag.errors import InvalidInput, ModelError

LAST = "last.pt"
BEST = "best.pt"


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, texts and dictionaries of them) so that a kill leaves the file before it.

    Raises:
        InvalidInput: the file cannot be written, for example because the disk is full.
    """
    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise InvalidInput(
            f"The checkpoint {path} cannot be written ({error.strerror}); make room or choose another folder."
        ) from error


def load_checkpoint(path: Path, *, keys: Collection[str], device: torch.device) -> dict[str, Any]:
    """Read a checkpoint that holds at least ``keys``. Nothing but tensors and plain values is ever loaded from it.

    Raises:
        ModelError: the file is damaged or something else.
    """
    unreadable = f"{path} is not a checkpoint that can be read; remove it to begin anew."
    try:
        if not zipfile.is_zipfile(path):  # anything else would be taken for torch's old format
            raise ModelError(unreadable)
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError(unreadable) from error
    if not isinstance(state, dict) or not state.keys() >= set(keys):
        raise ModelError(unreadable)
    return state
