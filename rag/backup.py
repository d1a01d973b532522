"""One file with everything that answers are made from: database, index snapshots, waiting uploads and settings.

A ZIP archive with a manifest that has the SHA-256 of every other file in it. It is written under a temporary name,
flushed and renamed; it can be taken while servers and ingestions work. Models of the registry are in it as far as they
are in the database; of others it has what they are known by: they come with the program or lie in folders of their own.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import SecretStr

from rag.config import Settings
from rag.disk import file_sha256, flush
from rag.errors import IndexDamaged, InvalidInput, NotFound, StoreUnavailable
from rag.index.snapshots import SnapshotFolder, check_snapshot
from rag.records import ModelKind
from rag.registry.model_registry import ModelRegistry, folder_outside
from rag.store.collections import list_collections
from rag.store.database import Database
from rag.store.database_copy import copy_database, is_empty, put_database
from rag.store.migrate import current_revision, is_known_revision
from rag.store.models import has_registry

FORMAT = 1
MANIFEST, DATABASE, INDEX, UPLOADS = "manifest.json", "database", "index", "uploads"
NOT_KEPT = frozenset({"data_dir", "database_url"})
"""Settings that say where this machine has things, and how to get into the database."""
MAX_MANIFEST_BYTES = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """What a backup holds. ``models`` has the hash of each model's files, by its name; ``files`` that of each file."""

    format: int
    created_at: str
    program_version: str
    dialect: str
    revision: str
    models: dict[str, str | None]
    settings: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored; ``differences`` says, a sentence each, what here is not as it was there."""

    manifest: BackupManifest
    differences: tuple[str, ...]


def back_up(settings: Settings, target: Path, *, force: bool = False) -> BackupManifest:
    """Write a backup to ``target``. Nothing has to be stopped.

    Raises:
        InvalidInput: there is a file of that name and ``force`` is false, or its folder is missing.
        StoreUnavailable: the database does not answer or is damaged, or the file cannot be written.
    """
    if target.exists() and not force:
        raise InvalidInput(f"There is a file {target} already; choose another name, or pass --force.")
    if not target.absolute().parent.is_dir():
        raise InvalidInput(f"Cannot write {target}: there is no folder {target.absolute().parent}.")
    database = Database(settings.resolved_database_url, busy_timeout=settings.store_timeout_s)
    partial = target.with_name(f"{target.name}.part")
    try:
        with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".rag-backup-") as folder:
            gathered = Path(folder)
            _gather(settings, database, gathered)
            manifest = _manifest(settings, database, gathered)
            _pack(gathered, manifest, partial)
        partial.replace(target)
        flush(target.absolute().parent)
    except OSError as error:
        raise StoreUnavailable(f"The backup {target} cannot be written ({error.strerror or error}).") from error
    finally:
        partial.unlink(missing_ok=True)
        database.dispose()
    return manifest


def restore(settings: Settings, source: Path, *, force: bool = False) -> Restored:
    """Put a backup in place of what the settings name. Servers and ingestions over it must be stopped.

    Everything is unpacked and compared with the manifest before anything is touched.

    Raises:
        InvalidInput: the file is no backup, is damaged, is of a newer program or of another database system; or there
            is something here that it would replace, and ``force`` is false.
        StoreUnavailable: it cannot be written.
    """
    database = Database(settings.resolved_database_url, busy_timeout=settings.store_timeout_s)
    try:
        with ExitStack() as stack:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".rag-restore-"))
            unpacked = Path(folder)
            manifest = _unpack(source, unpacked)
            _check_fits(manifest, database)
            if not force:
                _require_nothing(settings, database)
            put_database(database, unpacked / DATABASE)
            _replace_folder(settings.index_dir, unpacked / INDEX)
            _replace_folder(settings.spool_dir, unpacked / UPLOADS)
            differences = tuple(_differences(settings, database, manifest))
    except OSError as error:
        raise StoreUnavailable(f"{source} cannot be restored ({error.strerror or error}).") from error
    finally:
        database.dispose()
    return Restored(manifest=manifest, differences=differences)


def _gather(settings: Settings, database: Database, folder: Path) -> None:
    # Snapshots first: one that is newer than the database would be of no use.
    for collection in _folders(settings.index_dir):
        _copy_newest_snapshot(collection, folder / INDEX / collection.name)
    spool = settings.spool_dir
    with _uploads_at_rest(database, spool):
        copy_database(database, folder / DATABASE)
        for path in sorted(spool.glob("*")) if spool.is_dir() else []:
            if path.suffix != ".part":
                (folder / UPLOADS).mkdir(exist_ok=True)
                shutil.copy2(path, folder / UPLOADS / path.name)


@contextmanager
def _uploads_at_rest(database: Database, spool: Path) -> Iterator[None]:
    """Keep files of uploads from being finished with, so that each that the database names is copied as well."""
    name = spool / "spool-id"
    if not name.is_file():
        yield
        return
    with database.exclusive(f"uploads-{name.read_text(encoding='ascii')}"):
        yield


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _copy_newest_snapshot(collection: Path, target: Path) -> None:
    """Copy the newest snapshot that is good; without one the index is built from the database after the restore."""
    for snapshot in SnapshotFolder(collection).newest():
        copy = target / snapshot.name
        try:
            shutil.copytree(snapshot, copy)
            check_snapshot(copy, embedding_model=None, dimension=None)
        except (IndexDamaged, OSError):  # damaged, or removed meanwhile in favour of a newer one
            shutil.rmtree(copy, ignore_errors=True)
        else:
            return


def _manifest(settings: Settings, database: Database, gathered: Path) -> BackupManifest:
    with database.read() as session:
        names = {size.collection.embedding_model for size in list_collections(session)}
    return BackupManifest(
        format=FORMAT,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        program_version=version("grounded-rag"),
        dialect=database.dialect,
        revision=current_revision(database) or "",
        models=_models(settings, database, names),
        settings=_kept_settings(settings),
        files={
            path.relative_to(gathered).as_posix(): file_sha256(path)
            for path in sorted(gathered.rglob("*"))
            if path.is_file()
        },
    )


def _models(settings: Settings, database: Database, embedding_models: set[str]) -> dict[str, str | None]:
    with database.read() as session:
        registry = ModelRegistry(database, settings.model_dir) if has_registry(session) else None
    found = {name: _model_sha256(registry, name, "embedding") for name in sorted(embedding_models)}
    return {**found, "reader": _model_sha256(registry, settings.reader_weights or "", "reader")}


def _model_sha256(registry: ModelRegistry | None, place: str, kind: ModelKind) -> str | None:
    """The hash of a model's files; None where it is not there. One of the registry need not be on this machine."""
    try:
        model = None if registry is None else registry.find(place, kind)
    except (InvalidInput, NotFound):
        return None
    return _folder_sha256(folder_outside(place, kind)) if model is None else model.sha256


def _folder_sha256(folder: Path) -> str | None:
    """The hash of a folder's files with their names; None where it is not there."""
    if not folder.is_dir():
        return None
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _kept_settings(settings: Settings) -> dict[str, Any]:
    secret = {name for name in type(settings).model_fields if isinstance(getattr(settings, name), SecretStr)}
    return settings.model_dump(mode="json", exclude=set(NOT_KEPT) | secret)


def _pack(gathered: Path, manifest: BackupManifest, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
        for name in manifest.files:
            archive.write(gathered / name, name)
    target.chmod(0o600)
    flush(target)


def _unpack(source: Path, folder: Path) -> BackupManifest:
    try:
        with zipfile.ZipFile(source) as archive:
            if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
                raise ValueError("its manifest is too long")
            manifest = BackupManifest(**json.loads(archive.read(MANIFEST)))
            if manifest.format != FORMAT:
                raise InvalidInput(f"{source} is a backup of format {manifest.format}, which this program cannot read.")
            for name, sha256 in manifest.files.items():
                _unpack_file(archive, name, folder)
                if file_sha256(folder / name) != sha256:
                    raise ValueError(f"{name} is not as it was written")
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{source} is no whole backup ({error}); take another one.") from error
    return manifest


def _unpack_file(archive: zipfile.ZipFile, name: str, folder: Path) -> None:
    parts = PurePosixPath(name).parts
    if PurePosixPath(name).is_absolute() or ".." in parts or parts[0] not in (DATABASE, INDEX, UPLOADS):
        raise ValueError(f"{name} is no file of a backup")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
        file.flush()
        os.fsync(file.fileno())


def _check_fits(manifest: BackupManifest, database: Database) -> None:
    if manifest.dialect != database.dialect:
        raise InvalidInput(
            f"The backup is of a {manifest.dialect} database, but database_url names a {database.dialect} one; "
            "restore it into one of its kind, and take that to the other by `rag db copy`."
        )
    if not is_known_revision(manifest.revision):
        raise InvalidInput(f"The backup is of a newer program (revision {manifest.revision}); upgrade this program.")


def _require_nothing(settings: Settings, database: Database) -> None:
    if not is_empty(database):
        raise InvalidInput(f"There is a database {database} already, which would be replaced; pass --force for that.")
    for folder in (settings.index_dir, settings.spool_dir):
        if folder.is_dir() and any(folder.iterdir()):
            raise InvalidInput(f"There are files in {folder}, which would be replaced; pass --force for that.")


def _replace_folder(folder: Path, new: Path) -> None:
    if folder.exists():
        former = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-former-"))
        folder.rename(former / folder.name)
        shutil.rmtree(former)
    if new.is_dir():
        new.rename(folder)


def _differences(settings: Settings, database: Database, manifest: BackupManifest) -> Iterator[str]:
    here: Mapping[str, str | None] = _models(settings, database, set(manifest.models) - {"reader"})
    for name, sha256 in manifest.models.items():
        if here[name] != sha256:
            is_missing = "is not on this machine" if here[name] is None else "has other files here"
            yield f"The model {name} {is_missing}; answers may differ."
    present = _kept_settings(settings)
    for name, value in manifest.settings.items():
        if present.get(name, value) != value:
            yield f"The setting {name} is {present[name]!r} here; there it was {value!r}."
