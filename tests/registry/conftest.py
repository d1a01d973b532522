"""A tiny reader to be registered, and a registry that takes it: it is read over the tiny encoder of the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rag.reader.checkpoint import ReaderConfig, save_reader
from rag.reader.model import ReaderModel
from rag.records import Caller
from rag.registry.model_registry import ModelRegistry
from rag.store.database import Database
from rag.store.models import Model

OPERATOR = Caller(os_user="root")


@pytest.fixture
def folder(tiny_model: ReaderModel, tmp_path: Path) -> Path:
    """A folder with a tiny reader."""
    save_reader(tmp_path / "reader", tiny_model, ReaderConfig(num_decoder_layers=2))
    return tmp_path / "reader"


@pytest.fixture
def registry(
    database: Database, tmp_path: Path, tiny_encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelRegistry:
    monkeypatch.setattr("rag.registry.loading.model_folder", lambda _: tiny_encoder_folder)
    return ModelRegistry(database, tmp_path / "copies")


@pytest.fixture
def add(registry: ModelRegistry, folder: Path) -> Callable[..., Model]:
    """Adds the tiny reader, or another folder."""

    def add_folder(path: Path = folder, **options: object) -> Model:
        usual = {"name": "basic", "kind": "reader", "max_blob_bytes": 10_000_000, "caller": OPERATOR}
        return registry.add(path, **(usual | options))

    return add_folder
