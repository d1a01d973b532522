"""``rag models``: what people see of the registry."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from rag.assemble import Rag
from rag.cli.main import app
from rag.config import Settings
from rag.errors import InvalidInput, ModelError, NotFound, RagError
from rag.reader.checkpoint import ReaderConfig, save_reader
from rag.reader.model import ReaderModel
from rag.store import tables
from rag.store.database import Database

Command = Callable[..., str]


@pytest.fixture
def rag(database_url: str, tmp_path: Path, tiny_encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``rag models`` over one fresh database."""
    monkeypatch.setattr("rag.registry.loading.model_folder", lambda _: tiny_encoder_folder)
    options = ["--database-url", database_url, "--data-dir", str(tmp_path / "data"), "models"]

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*options, *arguments])
        if result.exception is not None:
            assert isinstance(result.exception, RagError), result.output
            raise result.exception
        return result.stdout

    return run


@pytest.fixture
def reader(tiny_model: ReaderModel, tmp_path: Path) -> str:
    save_reader(tmp_path / "reader", tiny_model, ReaderConfig(num_decoder_layers=2))
    return str(tmp_path / "reader")


def test_model_is_added_shown_exported_and_removed(rag: Command, reader: str, tmp_path: Path) -> None:
    assert "reader basic@1 (" in rag("add", reader, "--name", "basic", "--note", "a first one")
    listed = rag("list")
    for words in ("basic@1", "reader", "a first one"):
        assert words in listed
    (model,) = json.loads(rag("list", "--json"))["models"]
    assert json.loads(rag("show", "basic", "--json")) == model
    assert (model["reference"], model["activated_at"], model["removed_at"]) == ("basic@1", None, None)
    assert model["created_at"].endswith("Z")
    assert {file["path"]: file["uri"] for file in model["files"]} == {"config.json": None, "reader.safetensors": None}
    shown = rag("show", "basic@1")
    assert model["sha256"] in shown
    assert "in the database" in shown
    rag("export", "basic", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "reader.safetensors"}
    with pytest.raises(InvalidInput, match="names no version"):
        rag("remove", "basic")
    assert json.loads(rag("remove", "basic@1", "--json"))["removed_at"] is not None
    assert "basic@1" not in rag("list")
    assert "removed" in rag("list", "--removed")
    with pytest.raises(NotFound, match="was removed"):
        rag("show", "basic@1")


def test_reader_is_activated_and_given_up(rag: Command, reader: str) -> None:
    assert "active" in rag("add", reader, "--name", "basic", "--activate")
    assert "active" in rag("list")
    with pytest.raises(InvalidInput, match="is active"):
        rag("remove", "basic@1")
    assert json.loads(rag("deactivate", "--json"))["activated_at"] is None
    assert json.loads(rag("activate", "basic", "--json"))["activated_at"] is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "/nowhere", "--name", "basic"], "no folder /nowhere"),
        (["add", "/nowhere", "--name", "basic", "--kind", "writer"], "it is reader, embedding, language"),
        (["add", "/nowhere", "--name", "b", "--kind", "language", "--activate"], "Only a reader"),
        (["list", "--kind", "writer"], "it is reader, embedding, language"),
        (["show", "Basic"], "not what a model can be called"),
        (["activate", "basic"], "is not there"),
        (["deactivate"], "No reader of the registry is active"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(rag: Command, arguments: list[str], words: str) -> None:
    with pytest.raises(RagError, match=words):
        rag(*arguments)


def test_setting_bounds_what_goes_into_the_database(rag: Command, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_MAX_MODEL_BLOB_BYTES", "5000")
    with pytest.raises(RagError, match="max_model_blob_bytes"):
        rag("add", reader, "--name", "basic")
    rag("add", reader, "--name", "basic", "--files-at", Path(reader).as_uri())
    assert f"{Path(reader).as_uri()}/reader.safetensors" in rag("show", "basic")


def test_reader_that_was_damaged_in_the_database_answers_nothing(
    rag: Command, reader: str, database_url: str, tmp_path: Path
) -> None:
    rag("add", reader, "--name", "basic", "--activate")
    database = Database(database_url)
    with database.write() as session:
        session.execute(update(tables.ModelFilePart).values(content=b"{}"))
    database.dispose()
    settings: Any = Settings(database_url=database_url, data_dir=tmp_path / "data")
    with Rag(settings) as service, pytest.raises(ModelError, match="damaged or not the file that was added"):
        service.ask("Who keeps the support rota?")
