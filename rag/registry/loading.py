"""That a folder holds a model of its kind: it is loaded once, as it will be by those who use it."""

from pathlib import Path

import torch

from rag.errors import InvalidInput
from rag.generators.chat_model import ModelOptions
from rag.generators.language_model import LocalModel
from rag.index.embedder import CARRIED_MODEL, Embedder, model_folder
from rag.reader.checkpoint import load_reader
from rag.records import ModelKind


def check_loads(folder: Path, kind: ModelKind) -> None:
    """Load the model of a folder, and forget it.

    Raises:
        InvalidInput: it is no embedding model that can be loaded.
        ModelError: it is no reader over the carried encoder, or no language model of a kind that is supported.
    """
    if kind == "reader":
        load_reader(folder, model_folder(CARRIED_MODEL))
    elif kind == "embedding":
        try:
            Embedder(folder.name, folder=folder, dtype=torch.float32, batch_size=1).embed(["One text."])
        except (InvalidInput, RuntimeError, KeyError) as error:
            reason = error.__cause__ or error
            raise InvalidInput(f"{folder} holds no embedding model that can be loaded: {reason}") from error
    else:
        LocalModel.load(folder, ModelOptions(), dtype=torch.bfloat16)
