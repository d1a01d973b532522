"""A tiny untrained reader: the real code over a small random encoder."""

from pathlib import Path

import pytest

from rag.reader.checkpoint import new_reader
from rag.reader.model import ReaderModel


@pytest.fixture
def tiny_model(tiny_encoder_folder: Path) -> ReaderModel:
    return new_reader(tiny_encoder_folder, num_decoder_layers=2, dropout=0.0, seed=0).eval()
