"""What a folder may hold to be taken for a model: tensors, JSON and text, and nothing that could be code."""

import pickle
from pathlib import Path

import pytest

from rag.errors import InvalidInput
from rag.registry.folder_files import files_in, may_hold, pieces_of
from rag.store.models import PART_BYTES


def test_folder_of_a_reader_is_its_two_files(folder: Path) -> None:
    (folder / "README.md").write_text("For people.")
    (folder / ".cache").mkdir()
    (folder / ".cache/notes").write_text("hidden")
    assert [file.path for file in files_in(folder, "reader")] == ["config.json", "reader.safetensors"]


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "modeling.py", "reader.pt", "other.safetensors", "sub/config.json"]
)
def test_anything_else_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(InvalidInput, match="take it out"):
        files_in(folder, "reader")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", pickle.dumps({"weights": [1.0]})),
        ("config.json", b"{"),
        ("vocab.txt", b"\xff\xfe\x00"),
        ("chat_template.jinja", b"\xff"),
    ],
)
def test_file_that_is_not_what_its_suffix_says_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match="is no whole"):
        files_in(tmp_path, "language")


def test_embedding_model_keeps_its_folders(tiny_embedding_model: str) -> None:
    paths = {file.path for file in files_in(Path(tiny_embedding_model), "embedding")}
    assert {"modules.json", "1_Pooling/config.json", "model.safetensors", "tokenizer.json"} <= paths


def test_folder_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        files_in(tmp_path / "none", "reader")
    with pytest.raises(InvalidInput, match="holds no model"):
        files_in(tmp_path, "reader")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("a.json", True), ("1_Pooling/config.json", True), ("../a.json", False), ("/a.json", False), ("a//b.json", False)]
    + [("a/./b.json", False), ("a\\b.json", False), ("a.py", False), ("json", False), ("", False), ("a\0.json", False)],
)
def test_paths_stay_in_their_folder(path: str, allowed: bool) -> None:
    assert may_hold(path) is allowed


def test_pieces_are_the_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    (tmp_path / "file").write_bytes(content)
    pieces = list(pieces_of(tmp_path / "file"))
    assert [len(piece) for piece in pieces] == [PART_BYTES, len(content) - PART_BYTES]
    assert b"".join(pieces) == content
