"""Models go into the database and come out as they went in, or not at all."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from rag.errors import InvalidInput, LimitExceeded, ModelError, NotFound
from rag.reader.checkpoint import SHIPPED_WEIGHTS, load_reader
from rag.registry.model_registry import ModelRegistry
from rag.store import tables
from rag.store.database import Database
from rag.store.models import Model, find_active_reader, parse_reference, remove_model
from tests.registry.conftest import OPERATOR

Add = Callable[..., Model]
WEIGHTS = "reader.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(database: Database, path: str, *, hash_too: bool = False) -> None:
    """Change the last byte of a file in the database, as a bad disk or a bad person would."""
    part, file = tables.ModelFilePart, tables.ModelFile
    with database.write() as session:
        found = session.scalars(select(part).join(file, file.id == part.file_id).where(file.path == path)).one()
        changed = found.content[:-1] + bytes([found.content[-1] ^ 1])
        session.execute(update(part).where(part.file_id == found.file_id).values(content=changed))
        if hash_too:
            sha256 = hashlib.sha256(changed).hexdigest()
            session.execute(update(file).where(file.id == found.file_id).values(sha256=sha256))


def test_reader_comes_out_as_it_went_in(
    add: Add, registry: ModelRegistry, folder: Path, tiny_encoder_folder: Path
) -> None:
    model = add()
    copy = registry.folder("registry:basic", "reader")
    assert copy.name == model.sha256
    assert contents(copy) == contents(folder)
    load_reader(copy, tiny_encoder_folder)
    before = (copy / WEIGHTS).stat().st_ino
    assert registry.folder("registry:basic@1", "reader") == copy
    assert (copy / WEIGHTS).stat().st_ino == before  # it was not written again


def test_empty_place_is_the_active_reader_and_else_the_shipped_one(
    add: Add, registry: ModelRegistry, database: Database
) -> None:
    add(name="other")
    assert registry.folder("", "reader") == SHIPPED_WEIGHTS
    model = add(activate=True)
    assert registry.folder("", "reader").name == model.sha256
    with database.read() as session:
        assert find_active_reader(session) == model


def test_other_places_are_folders(registry: ModelRegistry) -> None:
    assert registry.folder("/models/basic", "reader") == Path("/models/basic")
    assert registry.folder("/models/chat", "language") == Path("/models/chat")
    assert registry.folder("all-MiniLM-L6-v2", "embedding").is_dir()


def test_damaged_blob_is_refused(add: Add, registry: ModelRegistry, database: Database) -> None:
    add()
    damage(database, WEIGHTS)
    with pytest.raises(ModelError, match=r"reader\.safetensors in the database is damaged or not the file"):
        registry.folder("registry:basic", "reader")
    with database.write() as session:
        session.query(tables.ModelFilePart).delete()
    with pytest.raises(ModelError, match="is damaged"):
        registry.folder("registry:basic", "reader")
    assert list((registry._cache_dir).glob("[!.]*")) == []
    assert list((registry._cache_dir).glob(".fetching-*")) == []


def test_file_swapped_together_with_its_hash_is_refused(add: Add, registry: ModelRegistry, database: Database) -> None:
    add()
    damage(database, WEIGHTS, hash_too=True)
    with pytest.raises(ModelError, match="list of files of basic@1 was changed"):
        registry.folder("registry:basic", "reader")


def test_damaged_copy_is_made_anew_and_so_is_one_with_something_added(
    add: Add, registry: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add()
    copy = registry.folder("registry:basic", "reader")
    for path, content in ((WEIGHTS, b"x"), ("extra.py", b"import os")):
        (copy / path).write_bytes(content)
        assert registry.folder("registry:basic", "reader") == copy
        assert contents(copy) == contents(folder)
    assert caplog.text.count("was damaged; it is made anew") == 2


def test_what_a_killed_process_left_is_cleared_away(add: Add, registry: ModelRegistry) -> None:
    add()
    left = registry._cache_dir / ".fetching-left"
    left.mkdir(parents=True)
    registry.folder("registry:basic", "reader")
    assert not left.exists()


def test_who_asks_at_the_same_time_gets_one_copy(
    add: Add, registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    add()
    fetched, fetch = [], ModelRegistry._fetch

    def count(self: ModelRegistry, *arguments: object) -> None:
        fetched.append(1)
        fetch(self, *arguments)

    monkeypatch.setattr(ModelRegistry, "_fetch", count)
    threads = [threading.Thread(target=registry.folder, args=("registry:basic", "reader")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1


def test_model_beyond_the_limit_needs_a_place(add: Add, folder: Path) -> None:
    with pytest.raises(LimitExceeded, match=r"pass --files-at \(setting: max_model_blob_bytes\)"):
        add(max_blob_bytes=10_000)
    added = add(max_blob_bytes=10_000, files_at=folder.as_uri())
    assert {file.path: file.uri for file in added.files} == {
        "config.json": None,
        WEIGHTS: f"{folder.as_uri()}/{WEIGHTS}",
    }


def test_file_at_a_uri_is_compared_when_added_and_when_used(
    add: Add, registry: ModelRegistry, folder: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with pytest.raises(ModelError, match="No such file"):
        add(files_at=shared.as_uri())
    (shared / WEIGHTS).write_bytes(b"something else")
    with pytest.raises(ModelError, match="damaged or not the file that was added"):
        add(files_at=shared.as_uri())
    shutil.copy(folder / WEIGHTS, shared)
    add(files_at=shared.as_uri())
    assert contents(registry.folder("registry:basic", "reader")) == contents(folder)
    shutil.rmtree(registry._cache_dir)
    (shared / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"more")
    with pytest.raises(ModelError, match=f"{shared.as_uri()}/{WEIGHTS} is damaged"):
        registry.folder("registry:basic", "reader")


def test_folder_that_cannot_be_loaded_is_not_added(
    add: Add, tmp_path: Path, database: Database, tiny_embedding_model: str
) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/config.json").write_text("{}")
    with pytest.raises(ModelError, match="format|No reader"):
        add(tmp_path / "bare")
    with pytest.raises(InvalidInput, match="holds no embedding model that can be loaded"):
        add(tmp_path / "bare", kind="embedding")
    with pytest.raises(ModelError, match="not a model folder|tokenizer"):
        add(tmp_path / "bare", kind="language")
    with pytest.raises(InvalidInput, match="kind reader"):
        add(Path(tiny_embedding_model))
    with database.read() as session:
        assert session.scalars(select(tables.Model)).all() == []


def test_embedding_model_that_names_classes_of_others_is_not_added(
    add: Add, tiny_embedding_model: str, tmp_path: Path
) -> None:
    folder = tmp_path / "classes"
    shutil.copytree(tiny_embedding_model, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "sklearn.utils.parallel.joblib"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InvalidInput, match=r"not part of Sentence Transformers"):
        add(folder, name="classes", kind="embedding")


def test_place_is_for_models_of_its_kind(add: Add, registry: ModelRegistry) -> None:
    add()
    with pytest.raises(InvalidInput, match="basic@1 is of the kind reader"):
        registry.folder("registry:basic@1", "embedding")
    with pytest.raises(NotFound, match="other is not there"):
        registry.folder("registry:other", "reader")


def test_embedding_model_is_named_with_its_version(
    add: Add, registry: ModelRegistry, tiny_embedding_model: str
) -> None:
    add(Path(tiny_embedding_model), name="tiny", kind="embedding")
    with pytest.raises(InvalidInput, match="Write registry:tiny@1"):
        registry.folder("registry:tiny", "embedding")
    copy = registry.folder("registry:tiny@1", "embedding")
    assert (copy / "1_Pooling/config.json").is_file()


def test_export_writes_a_folder_that_can_be_added_again(
    add: Add, registry: ModelRegistry, folder: Path, tmp_path: Path, database: Database
) -> None:
    model = add()
    registry.export(parse_reference("basic"), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)
    with pytest.raises(InvalidInput, match="already"):
        registry.export(parse_reference("basic"), tmp_path / "out")
    with pytest.raises(InvalidInput, match="Cannot write"):
        registry.export(parse_reference("basic"), tmp_path / "none/out")
    damage(database, "config.json")
    with pytest.raises(ModelError, match="damaged"):
        registry.export(parse_reference("basic"), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with database.write() as session:
        remove_model(session, model, caller=OPERATOR)
    assert add(tmp_path / "out").version == 2


def test_folder_for_copies_that_cannot_be_made_is_told(add: Add, registry: ModelRegistry) -> None:
    add()
    registry._cache_dir.write_text("a file is in the way")
    with pytest.raises(ModelError, match="change data_dir"):
        registry.folder("registry:basic", "reader")
