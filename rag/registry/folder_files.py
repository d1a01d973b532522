"""Which files of a folder make up a model, and that they are what they may be: tensors, JSON, text; never code."""

import json
from collections.abc import Generator
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError, safe_open

from rag.disk import file_sha256
from rag.errors import InvalidInput
from rag.records import ModelKind
from rag.store.models import PART_BYTES, ModelFile

Pieces = Generator[bytes, None, None]
"""The bytes of a file, one after the other, a megabyte or so at a time."""
WEIGHTS = ".safetensors"
SUFFIXES = frozenset({WEIGHTS, ".json", ".txt", ".jinja"})
"""Of all that is ever taken in or written out. ``.jinja`` is the chat template of a language model."""
FILES_OF_READERS = frozenset({"config.json", "reader.safetensors"})
_FOR_PEOPLE = ("license", "notice", "readme")


def files_in(folder: Path, kind: ModelKind) -> list[ModelFile]:
    """The files of the model in a folder, with sizes and hashes; what is for people or hidden is left out.

    Raises:
        InvalidInput: there is no such folder, a file cannot be read, or one is neither safetensors nor JSON nor text
            of the kind of model.
    """
    if not folder.is_dir():
        raise InvalidInput(f"There is no folder {folder}; name the folder of a model.")
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    taken = {name: path for name, path in paths.items() if not _is_left_out(PurePosixPath(name))}
    for name, path in taken.items():
        if not may_hold(name) or (kind == "reader" and name not in FILES_OF_READERS):
            raise InvalidInput(
                f"{path} is no file of a model of the kind {kind}, which is safetensors with its JSON and text files; "
                "take it out of the folder."
            )
        _check_content(path)
    if not taken:
        raise InvalidInput(f"{folder} holds no model.")
    return [
        ModelFile(path=name, num_bytes=path.stat().st_size, sha256=file_sha256(path)) for name, path in taken.items()
    ]


def may_hold(path: str) -> bool:
    """Whether a model may hold a file of this path: one that stays in its folder, and with one of ``SUFFIXES``."""
    pure = PurePosixPath(path)
    parts_are_names = all(part not in ("", ".", "..") and "\\" not in part for part in path.split("/"))
    return parts_are_names and "\0" not in path and pure.suffix in SUFFIXES


def pieces_of(path: Path) -> Pieces:
    """A file's bytes, ``PART_BYTES`` at a time. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        while piece := file.read(PART_BYTES):
            yield piece


def _is_left_out(path: PurePosixPath) -> bool:
    is_hidden = any(part.startswith(".") for part in path.parts)
    return is_hidden or path.name.lower().startswith(_FOR_PEOPLE)


def _check_content(path: Path) -> None:
    """See that a file is what its suffix says."""
    try:
        if path.suffix == WEIGHTS:
            with safe_open(path, framework="pt"):
                return
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            json.loads(text)
    except (OSError, ValueError, SafetensorError) as error:
        raise InvalidInput(f"{path} is no whole {path.suffix} file ({error}); copy it anew.") from error
