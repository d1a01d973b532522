"""The model registry: which models there are, of which files, and the bytes of the files that are kept here.

A model has a name and counts its versions; a version never changes, so ``NAME@VERSION`` means the same bytes for ever.
What is removed leaves its row: neither does another model come to its version, nor does the log lose what answered.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast, get_args

from sqlalchemy import ColumnElement, delete, insert, inspect, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import Caller, ModelKind
from rag.store import model_tables
from rag.store.audit import put_audit_event
from rag.store.tables import EmbeddingGeneration

PREFIX = "registry:"
"""What a setting begins with that names a model of the registry and not a folder."""
PART_BYTES = 1_000_000
"""Bytes in one row of ``model_file_parts`` at most."""
LOCK_OF_MODELS = "models"
"""What to hold with ``Database.exclusive`` while models are added, activated or removed."""
_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]{0,99})(@(?P<version>[1-9][0-9]{0,8}))?")
_REFERENCE_FORM = "NAME or NAME@VERSION, with a name of small letters, digits, dots, dashes and underscores"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """What a model is called by; without a version, the newest is meant."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file of a model: its path within, with slashes, and where its bytes are. ``uri`` None: in the database."""

    path: str
    num_bytes: int
    sha256: str
    uri: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A model that is to be added as the next version of its name."""

    name: str
    kind: ModelKind
    files: Sequence[ModelFile]
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One version of a model. ``activated_at`` is None but for the reader that answers where none is set."""

    id: int
    name: str
    version: int
    kind: ModelKind
    sha256: str
    note: str | None
    created_at: datetime
    activated_at: datetime | None
    removed_at: datetime | None
    files: tuple[ModelFile, ...]

    @property
    def reference(self) -> ModelReference:
        """What this version is called by."""
        return ModelReference(name=self.name, version=self.version)

    @property
    def num_bytes(self) -> int:
        """The size of all its files together."""
        return sum(file.num_bytes for file in self.files)


def parse_reference(words: str) -> ModelReference:
    """``NAME`` or ``NAME@VERSION``.

    Raises:
        InvalidInput: it is neither.
    """
    found = _REFERENCE.fullmatch(words)
    if found is None:
        raise InvalidInput(f"{words!r} is not what a model can be called: {_REFERENCE_FORM}.")
    version = found["version"]
    return ModelReference(name=found["name"], version=None if version is None else int(version))


def reference_of(place: str) -> ModelReference | None:
    """The model that a setting names by ``registry:NAME[@VERSION]``; None where it names something else, as a folder.

    Raises:
        InvalidInput: what follows ``registry:`` is no name of a model.
    """
    return parse_reference(place.removeprefix(PREFIX)) if place.startswith(PREFIX) else None


def checked_kind(kind: str) -> ModelKind:
    """The kind itself.

    Raises:
        InvalidInput: there is no such kind of model.
    """
    if kind not in get_args(ModelKind):
        raise InvalidInput(f"The kind {kind!r} is unknown; it is {', '.join(get_args(ModelKind))}.")
    return cast(ModelKind, kind)


def sha256_of_files(files: Iterable[ModelFile]) -> str:
    """The SHA-256 of a model: of a line ``PATH SHA256`` for each of its files, in the order of their paths."""
    lines = (f"{file.path} {file.sha256}\n" for file in sorted(files, key=lambda file: file.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def has_registry(session: Session) -> bool:
    """Whether the database has the tables of the registry; one of an older version has not."""
    return inspect(session.connection()).has_table(model_tables.Model.__tablename__)


def add_model(session: Session, new: NewModel, read: Callable[[str], Iterator[bytes]], *, caller: Caller) -> Model:
    """Add a model with the bytes of its files that have no URI. The caller holds ``LOCK_OF_MODELS``.

    ``read`` gives the bytes of the file of that path, in pieces of at most ``PART_BYTES``.

    Raises:
        InvalidInput: the name cannot be one, an earlier version has the same files, or the bytes that were read are
            not those whose hashes stand in ``new``.
    """
    if parse_reference(new.name).version is not None:
        raise InvalidInput(f"{new.name} names a version, which is counted by itself; leave it out.")
    sha256 = sha256_of_files(new.files)
    versions = _models(session, model_tables.Model.name == new.name)
    for earlier in versions:
        if earlier.sha256 == sha256 and earlier.removed_at is None:
            raise InvalidInput(f"{earlier.reference} has just these files; nothing was added.")
    version = max((earlier.version for earlier in versions), default=0) + 1
    values = {"name": new.name, "version": version, "kind": new.kind, "sha256": sha256, "note": new.note}
    row = model_tables.Model(**values, created_at=datetime.now(UTC))
    session.add(row)
    session.flush()
    for file in new.files:
        _add_file(session, row.id, file, read)
    reference = ModelReference(name=new.name, version=version)
    put_audit_event(session, caller, "model.add", target=str(reference), details={"kind": new.kind, "sha256": sha256})
    return find_model(session, reference)


def find_model(session: Session, reference: ModelReference) -> Model:
    """The model of that name: the version that is named, or the newest that was not removed.

    Raises:
        NotFound: there is none, or it was removed; the message names those that there are.
    """
    versions = _models(session, model_tables.Model.name == reference.name)
    left = [model for model in versions if model.removed_at is None]
    if reference.version is None and left:
        return left[-1]
    for model in left:
        if model.version == reference.version:
            return model
    was_removed = any(model.version == reference.version for model in versions)
    there_are = ", ".join(str(model.reference) for model in left) or "none of that name; see `rag models list`"
    raise NotFound(f"The model {reference} {'was removed' if was_removed else 'is not there'}; there is {there_are}.")


def find_active_reader(session: Session) -> Model | None:
    """The reader that answers where no setting names one; None: the one that ships with the program."""
    row = model_tables.Model
    found = _models(session, row.kind == "reader", row.activated_at.is_not(None))
    return max(found, key=lambda model: cast(datetime, model.activated_at), default=None)


def list_models(session: Session, *, kind: ModelKind | None = None, with_removed: bool = False) -> list[Model]:
    """Models by name and version, of one kind if given."""
    row = model_tables.Model
    wanted = [] if kind is None else [row.kind == kind]
    return _models(session, *wanted, *([] if with_removed else [row.removed_at.is_(None)]))


def read_parts(session: Session, model_id: int, path: str) -> Iterator[bytes]:
    """The bytes of a file that is kept here, piece by piece. Unchecked: the caller compares size and hash."""
    part, file = model_tables.ModelFilePart, model_tables.ModelFile
    statement = select(part.content).join(file, file.id == part.file_id)
    statement = statement.where(file.model_id == model_id, file.path == path).order_by(part.ordinal)
    yield from session.scalars(statement.execution_options(yield_per=1))


def activate_reader(session: Session, model: Model, *, caller: Caller) -> Model:
    """Let a reader answer where no setting names one, in processes that start from then on.

    The caller holds ``LOCK_OF_MODELS``. Returns the model as it is then.

    Raises:
        InvalidInput: the model is no reader.
    """
    if model.kind != "reader":
        raise InvalidInput(f"{model.reference} is of the kind {model.kind}; only a reader can be activated.")
    _deactivate_all(session)
    row, activated_at = model_tables.Model, datetime.now(UTC)
    session.execute(update(row).where(row.id == model.id).values(activated_at=activated_at))
    put_audit_event(session, caller, "model.activate", target=str(model.reference))
    return replace(model, activated_at=activated_at)


def deactivate_reader(session: Session, *, caller: Caller) -> Model:
    """Let the reader that ships with the program answer again; returns the one that did, as it is then.

    The caller holds ``LOCK_OF_MODELS``.

    Raises:
        NotFound: none is active.
    """
    active = find_active_reader(session)
    if active is None:
        raise NotFound("No reader of the registry is active; the one that ships with the program answers.")
    _deactivate_all(session)
    put_audit_event(session, caller, "model.deactivate", target=str(active.reference))
    return replace(active, activated_at=None)


def remove_model(session: Session, model: Model, *, caller: Caller) -> Model:
    """Delete the bytes of a model; its row and its files' hashes stay. The caller holds ``LOCK_OF_MODELS``.

    Returns the model as it is then.

    Raises:
        InvalidInput: it is active, or a collection is embedded with it.
    """
    if model.activated_at is not None:
        raise InvalidInput(f"{model.reference} is active; activate another reader or run `rag models deactivate`.")
    generation = EmbeddingGeneration
    in_use = select(generation.collection_id).where(generation.embedding_model == f"{PREFIX}{model.reference}")
    if session.execute(in_use).first() is not None:
        raise InvalidInput(
            f"A collection has vectors of {model.reference}; embed it anew (`rag index reembed`) and drop them first."
        )
    part, file = model_tables.ModelFilePart, model_tables.ModelFile
    session.execute(delete(part).where(part.file_id.in_(select(file.id).where(file.model_id == model.id))))
    row, removed_at = model_tables.Model, datetime.now(UTC)
    session.execute(update(row).where(row.id == model.id).values(removed_at=removed_at))
    put_audit_event(session, caller, "model.remove", target=str(model.reference))
    return replace(model, removed_at=removed_at)


def _deactivate_all(session: Session) -> None:
    row = model_tables.Model
    session.execute(update(row).where(row.activated_at.is_not(None)).values(activated_at=None))


def _add_file(session: Session, model_id: int, file: ModelFile, read: Callable[[str], Iterator[bytes]]) -> None:
    row = model_tables.ModelFile(
        model_id=model_id, path=file.path, num_bytes=file.num_bytes, sha256=file.sha256, uri=file.uri
    )
    session.add(row)
    session.flush()
    if file.uri is not None:
        return
    seen = hashlib.sha256()
    for ordinal, content in enumerate(read(file.path)):
        seen.update(content)
        part = {"file_id": row.id, "ordinal": ordinal, "content": content}
        session.connection().execute(insert(model_tables.ModelFilePart), part)
    if seen.hexdigest() != file.sha256:
        raise InvalidInput(f"{file.path} was changed while it was being added; add the model again.")


def _models(session: Session, *wanted: ColumnElement[bool]) -> list[Model]:
    row, file = model_tables.Model, model_tables.ModelFile
    found = session.execute(select(*row.__table__.columns).where(*wanted).order_by(row.name, row.version)).all()
    files: dict[int, list[ModelFile]] = {}
    of_these = select(file).where(file.model_id.in_(select(row.id).where(*wanted))).order_by(file.id)
    for one in session.scalars(of_these):
        kept = ModelFile(path=one.path, num_bytes=one.num_bytes, sha256=one.sha256, uri=one.uri)
        files.setdefault(one.model_id, []).append(kept)
    return [_record(one._mapping, files.get(one.id, [])) for one in found]


def _record(values: Any, files: Sequence[ModelFile]) -> Model:
    return Model(**{**values, "kind": cast(ModelKind, values["kind"])}, files=tuple(files))
