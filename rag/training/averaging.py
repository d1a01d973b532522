"""``rag train average``: one reader from several, by the mean of their weights.

Readers trained from the same start lie in one valley, and the middle of it answers better than each (Wortsman et al.,
2022, "model soups"), at the cost of one.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rag.errors import InvalidInput
from rag.reader.checkpoint import SHARED, ReaderConfig, load_reader, save_reader


def average_readers(folders: Sequence[Path], output: Path, *, encoder_folder: Path) -> ReaderConfig:
    """Save the mean of two or more readers in ``output``.

    Its calibration is that of the first; ``rag train calibrate`` fits its own.

    Raises:
        InvalidInput: there are fewer than two, or they are not of one shape.
        ModelError: a folder holds no reader, or one over another encoder.
    """
    if len(folders) < 2:
        raise InvalidInput("An average needs two readers at least.")
    loaded = [load_reader(folder, encoder_folder) for folder in folders]
    model, config = loaded[0]
    states = [one.state_dict() for one, _ in loaded]
    for folder, state in zip(folders, states, strict=True):
        if {name: x.shape for name, x in state.items()} != {name: x.shape for name, x in states[0].items()}:
            raise InvalidInput(f"{folder} holds a reader of another shape than {folders[0]}; they have no average.")
    # The token embeddings are the encoder's own in all of them; a mean would change their last bits.
    trained = [name for name in states[0] if name != SHARED]
    mean = {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in trained}
    model.load_state_dict({**states[0], **mean})
    training = {"average_of": [one.weights_sha256 for _, one in loaded], "parts": [one.training for _, one in loaded]}
    return save_reader(output, model, replace(config, training=training))
