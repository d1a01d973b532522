"""Snapshots of a collection's indexes on disk: written whole or not at all, checked when read, two kept.

    <folder>/<change id, 12 digits>/vectors/…, keyword/…, manifest.json

The folder name is the last index change that the snapshot holds. A snapshot is written to a temporary folder, flushed
and renamed. The manifest lists every file's SHA-256, so that a truncated, swapped or edited file is noticed.
"""

import json
import logging
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rag.disk import file_sha256, flush
from rag.errors import IndexDamaged

log = logging.getLogger(__name__)

FORMAT = 2
NUM_KEPT = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a snapshot holds; ``files`` maps each file's path inside it to its SHA-256."""

    format: int
    embedding_model: str
    dimension: int
    change_id: int
    num_passages: int
    files: dict[str, str]


class SnapshotFolder:
    """The snapshots of one collection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> list[Path]:
        """The snapshots that are there, newest first, unchecked."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if path.is_dir() and path.name.isdigit()]
        return sorted(found, key=lambda path: int(path.name), reverse=True)

    def begin(self) -> Path:
        """A temporary folder to write a snapshot into; pass it to ``commit``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="writing-", dir=self.folder))

    def commit(self, written: Path, *, embedding_model: str, dimension: int, change_id: int, num_passages: int) -> Path:
        """Seal a written folder with its manifest and put it in place; older snapshots beyond two are removed."""
        manifest = Manifest(
            format=FORMAT,
            embedding_model=embedding_model,
            dimension=dimension,
            change_id=change_id,
            num_passages=num_passages,
            files=_checksums(written),
        )
        (written / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
        for path in [*written.rglob("*"), written]:
            flush(path)
        target = self.folder / f"{change_id:012d}"
        if target.exists():
            shutil.rmtree(target)
        written.rename(target)
        flush(self.folder)
        for old in self.newest()[NUM_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def remove_leftovers(self) -> None:
        """Remove what killed writers left behind. Call it only while no other process writes."""
        for path in self.folder.glob("writing-*"):
            shutil.rmtree(path, ignore_errors=True)


def check_snapshot(snapshot: Path, *, embedding_model: str | None, dimension: int | None) -> Manifest:
    """Read a snapshot's manifest and check every file against it; None for the model and dimension that it names.

    Raises:
        IndexDamaged: a file is missing, added or changed, or the snapshot is of another model or format.
    """
    try:
        manifest = Manifest(**json.loads((snapshot / MANIFEST).read_text(encoding="utf-8")))
        found = _checksums(snapshot)
    except (OSError, ValueError, TypeError) as error:
        raise IndexDamaged(f"Snapshot {snapshot} cannot be read: {error}.") from error
    wanted = (FORMAT, embedding_model or manifest.embedding_model, dimension or manifest.dimension)
    if (manifest.format, manifest.embedding_model, manifest.dimension) != wanted:
        raise IndexDamaged(f"Snapshot {snapshot} is of another format or embedding model.")
    if manifest.change_id != int(snapshot.name):
        raise IndexDamaged(f"Snapshot {snapshot} is not the one that its manifest describes.")
    changed = sorted(
        name for name in found.keys() | manifest.files.keys() if found.get(name) != manifest.files.get(name)
    )
    if changed:
        raise IndexDamaged(f"Snapshot {snapshot} is damaged: {', '.join(changed[:3])} is not as written.")
    return manifest


def link_folder(source: Path, target: Path) -> None:
    """Make ``target`` a copy of a keyword index's folder without copying its segments.

    tantivy never writes into a file again: segments are immutable and the small JSON files are replaced by rename.
    So hard links are safe, and cost nothing; across file systems the files are copied.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and not path.name.endswith(".lock"):
            try:
                os.link(path, target / path.name)
            except OSError:
                shutil.copy2(path, target / path.name)


def _checksums(folder: Path) -> dict[str, str]:
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST and not path.name.endswith(".lock")
    )
    # The large files come to gigabytes; hashing one leaves Python free to hash another.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        sums = threads.map(file_sha256, paths)
        return {path.relative_to(folder).as_posix(): checksum for path, checksum in zip(paths, sums, strict=True)}
