"""Models in and out of the registry, and as folders on this machine, where those who load them look for them.

A folder is made under a temporary name, flushed and renamed to the model's SHA-256. Each time that it is asked for, all
its files are compared with the hashes of the registry; a copy that is damaged is made anew, and what the database or a
URI gives is refused unless it is what was added.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections import deque
from contextlib import closing
from pathlib import Path

from rag.disk import file_lock, file_sha256, flush
from rag.errors import InvalidInput, LimitExceeded, ModelError
from rag.index.embedder import model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.records import Caller, ModelKind
from rag.registry.folder_files import WEIGHTS, Pieces, files_in, may_hold, pieces_of
from rag.registry.loading import check_loads
from rag.registry.uris import read_uri, uri_within
from rag.store.database import Database
from rag.store.models import (
    LOCK_OF_MODELS,
    PREFIX,
    Model,
    ModelFile,
    ModelReference,
    NewModel,
    activate_reader,
    add_model,
    find_active_reader,
    find_model,
    read_parts,
    reference_of,
    sha256_of_files,
)

FETCHING = ".fetching-"
"""What the names of folders begin with that are not whole yet."""
logger = logging.getLogger(__name__)


class ModelRegistry:
    """The models of a database. Safe to share between threads and processes."""

    def __init__(self, database: Database, cache_dir: Path) -> None:
        """``cache_dir`` holds the copies of this machine; it is made when needed, and may be deleted at any time."""
        self._database, self._cache_dir = database, cache_dir

    def add(
        self,
        folder: Path,
        *,
        name: str,
        kind: ModelKind,
        max_blob_bytes: int,
        files_at: str | None = None,
        note: str | None = None,
        activate: bool = False,
        caller: Caller,
    ) -> Model:
        """Add the model of a folder as the next version of its name, once it has been loaded; perhaps activate it.

        Its bytes go into the database, in one transaction; with ``files_at`` its safetensors files do not: they are
        read from below that URI, now and by whoever uses the model.

        Raises:
            InvalidInput: the folder holds a file that no model may have, or see ``add_model`` and ``activate_reader``.
            LimitExceeded: more than ``max_blob_bytes`` would go into the database.
            ModelError: the model cannot be loaded, or the files below the URI are not those of the folder.
        """
        files = files_in(folder, kind)
        if files_at is not None:
            files = [_with_uri(file, files_at) for file in files]
        num_bytes = sum(file.num_bytes for file in files if file.uri is None)
        if num_bytes > max_blob_bytes:
            raise LimitExceeded(
                f"{num_bytes:,} bytes are more than may go into the database, {max_blob_bytes:,}; put the safetensors "
                "files where all processes can read them, and pass --files-at",
                setting="max_model_blob_bytes",
            )
        check_loads(folder, kind)
        for file in files:
            if file.uri is not None:
                deque(_checked(read_uri(file.uri), file), maxlen=0)  # read to the end, nothing kept
        new = NewModel(name=name, kind=kind, files=files, note=note)
        with self._database.exclusive(LOCK_OF_MODELS), self._database.write() as session:
            added = add_model(session, new, lambda path: pieces_of(folder / path), caller=caller)
            return activate_reader(session, added, caller=caller) if activate else added

    def find(self, place: str, kind: ModelKind) -> Model | None:
        """The model that a setting names by ``registry:NAME[@VERSION]``; None where it names a folder.

        An empty place is that of the reader that is active, if there is one.

        Raises:
            InvalidInput: it is a model of another kind, or an embedding model without its version.
            NotFound: there is no such model.
        """
        reference = reference_of(place)
        if reference is None and (place or kind != "reader"):
            return None
        with self._database.read() as session:
            model = find_active_reader(session) if reference is None else find_model(session, reference)
        if model is None:
            return None
        if model.kind != kind:
            raise InvalidInput(f"{model.reference} is of the kind {model.kind}; this place is for one of kind {kind}.")
        if kind == "embedding" and place != f"{PREFIX}{model.reference}":
            raise InvalidInput(
                f"Write {PREFIX}{model.reference}: without its version an embedding model could become another one, "
                "and vectors of two do not compare."
            )
        return model

    def folder(self, place: str, kind: ModelKind) -> Path:
        """The folder of a model on this machine: its own, or that of a copy of what the registry has.

        An empty place is that of the reader that is active, else of the one that ships with the program.

        Raises:
            InvalidInput, NotFound: as :meth:`find`.
            ModelError: what the registry has is damaged or was changed, or it cannot be read or kept here.
        """
        model = self.find(place, kind)
        if model is not None:
            return self._copy_of(model)
        return folder_outside(place, kind)

    def export(self, reference: ModelReference, target: Path) -> Model:
        """Write the files of a model to a new folder, which appears whole or not at all.

        Raises:
            InvalidInput: there is something of that name already, or it cannot be written.
            NotFound: there is no such model.
            ModelError: what the registry has is damaged or was changed.
        """
        with self._database.read() as session:
            model = find_model(session, reference)
        if target.exists():
            raise InvalidInput(f"There is a {target} already; name a folder that is not there.")
        try:
            with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".rag-export-") as temporary:
                self._write_folder(model, Path(temporary) / "model").rename(target)
            flush(target.absolute().parent)
        except OSError as error:
            raise InvalidInput(f"Cannot write {target}: {error.strerror}.") from error
        return model

    def _copy_of(self, model: Model) -> Path:
        folder = self._cache_dir / model.sha256
        try:
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            with file_lock(self._cache_dir / ".lock"):  # who comes while another fetches it waits, and finds it there
                if not _is_whole(folder, model):
                    self._fetch(model, folder)
        except OSError as error:
            raise ModelError(
                f"The model {model.reference} cannot be kept in {self._cache_dir} ({error.strerror}); make room there "
                "or change data_dir."
            ) from error
        return folder

    def _fetch(self, model: Model, folder: Path) -> None:
        for left in self._cache_dir.glob(f"{FETCHING}*"):  # of a process that was killed, since this one has the lock
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=self._cache_dir, prefix=FETCHING) as temporary:
            fetched = self._write_folder(model, Path(temporary) / "model")
            if folder.exists():
                logger.warning("The copy of the model %s in %s was damaged; it is made anew.", model.reference, folder)
                folder.rename(Path(temporary) / "damaged")
            fetched.rename(folder)
        flush(self._cache_dir)

    def _write_folder(self, model: Model, folder: Path) -> Path:
        """Write all files of a model, checked and flushed; returns the folder."""
        if sha256_of_files(model.files) != model.sha256 or not all(may_hold(file.path) for file in model.files):
            raise ModelError(f"The list of files of {model.reference} was changed in the database; add it again.")
        folder.mkdir()
        for file in model.files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, _checked(self._pieces(model, file), file))
        for one in {path.parent for path in folder.rglob("*")} | {folder}:
            flush(one)
        return folder

    def _pieces(self, model: Model, file: ModelFile) -> Pieces:
        if file.uri is not None:
            yield from read_uri(file.uri)
            return
        with self._database.read() as session:
            yield from read_parts(session, model.id, file.path)


def folder_outside(place: str, kind: ModelKind) -> Path:
    """The folder of a model that is none of the registry; of the reader that ships with the program, if empty."""
    if kind == "embedding":
        return model_folder(place)
    return Path(place) if place else SHIPPED_WEIGHTS


def _with_uri(file: ModelFile, base: str) -> ModelFile:
    uri = uri_within(base, file.path) if file.path.endswith(WEIGHTS) else None
    return ModelFile(path=file.path, num_bytes=file.num_bytes, sha256=file.sha256, uri=uri)


def _checked(pieces: Pieces, file: ModelFile) -> Pieces:
    """The bytes of a file, no further than it may be long; whoever has come to the end has had what was added.

    Raises:
        ModelError: it is something else.
    """
    seen, num_bytes = hashlib.sha256(), 0
    with closing(pieces):
        for piece in pieces:
            num_bytes += len(piece)
            if num_bytes > file.num_bytes:
                break
            seen.update(piece)
            yield piece
    if num_bytes != file.num_bytes or seen.hexdigest() != file.sha256:
        raise ModelError(
            f"{file.path} in {file.uri or 'the database'} is damaged or not the file that was added: its SHA-256 is "
            "another than that in the registry; restore it, or add the model again."
        )


def _write(path: Path, pieces: Pieces) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _is_whole(folder: Path, model: Model) -> bool:
    """Whether a copy holds just the files of its model, each as it was added."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return there == {file.path for file in model.files} and all(
        file_sha256(folder / file.path) == file.sha256 for file in model.files
    )
