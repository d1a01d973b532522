import json
import shutil
from pathlib import Path

import pytest
import torch

from rag.errors import ModelError
from rag.reader.checkpoint import ReaderConfig, load_reader, save_reader
from rag.reader.model import ReaderModel


@pytest.fixture
def saved(tiny_model: ReaderModel, tmp_path: Path) -> Path:
    save_reader(tmp_path / "weights", tiny_model, ReaderConfig(num_decoder_layers=2, scoring={"decoder": 0.5}))
    return tmp_path / "weights"


def test_saved_reader_loads_with_the_same_weights(
    saved: Path, tiny_model: ReaderModel, tiny_encoder_folder: Path
) -> None:
    loaded, config = load_reader(saved, tiny_encoder_folder)
    assert config.scoring == {"decoder": 0.5}
    for name, tensor in tiny_model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.half().float(), atol=1e-3, rtol=1e-3)


def test_token_embeddings_are_not_stored_twice(saved: Path, tiny_model: ReaderModel) -> None:
    embeddings = tiny_model.encoder.embedding.token.weight.numel() * 2
    assert (saved / "reader.safetensors").stat().st_size < embeddings


def test_flipped_byte_is_noticed(saved: Path, tiny_encoder_folder: Path) -> None:
    path = saved / "reader.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        load_reader(saved, tiny_encoder_folder)


def test_reader_over_another_encoder_is_refused(saved: Path, tiny_encoder_folder: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "token_embedding_sha256": "0" * 64}))
    with pytest.raises(ModelError, match="trained over"):
        load_reader(saved, tiny_encoder_folder)


@pytest.mark.parametrize(("content", "message"), [("{", "not a reader's config"), ('{"format": 99}', "format 99")])
def test_config_that_cannot_be_read_is_named(
    saved: Path, tiny_encoder_folder: Path, content: str, message: str
) -> None:
    (saved / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load_reader(saved, tiny_encoder_folder)


def test_missing_reader_names_the_setting(tmp_path: Path, tiny_encoder_folder: Path) -> None:
    with pytest.raises(ModelError, match="reader_weights"):
        load_reader(tmp_path, tiny_encoder_folder)


def test_missing_weights_file_is_named(saved: Path, tiny_encoder_folder: Path, tmp_path: Path) -> None:
    shutil.move(saved / "reader.safetensors", tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="No reader in"):
        load_reader(saved, tiny_encoder_folder)


def test_weights_of_another_shape_are_refused(saved: Path, tiny_encoder_folder: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "num_decoder_layers": 1}))
    with pytest.raises(ModelError, match="does not fit"):
        load_reader(saved, tiny_encoder_folder)
