"""Files on disk: hashes, locks between processes, outlasting a power cut, and folders that end with their process."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

IN_USE = "in-use.lock"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, written to the disk (POSIX keeps the two apart).

    Raises:
        OSError: the disk does not take them.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock that one process, or one thread, at a time can have; it is free again when the process is killed.

    The file is made if need be and never deleted: two processes must come upon the same one.

    Raises:
        OSError: it cannot be made.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class TemporaryFolder:
    """A folder in the system's folder for temporary files, gone when it is removed, collected or the process ends.

    A killed process leaves its folder behind, and a server that is killed now and then would fill the disk with them.
    So each folder holds a file that its process has locked, and whoever makes a folder with the same prefix first
    removes those whose lock nobody holds any more.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, prefix: str) -> None:
        _remove_abandoned(prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # Locked before it has its name: without a lock under this name, a folder is nobody's to remove.
        unnamed = self.path / f"{IN_USE}.new"
        lock = os.open(unnamed, os.O_CREAT | os.O_WRONLY)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / IN_USE)

    def remove(self) -> None:
        """Remove the folder with all that is in it. Doing it again changes nothing."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _remove_abandoned(prefix: str) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*/{IN_USE}"):
        try:
            if path.parent.lstat().st_uid != os.getuid():
                continue  # another user's, whose file may be a pipe that never answers
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
        except OSError:
            continue  # in use, or gone just now
