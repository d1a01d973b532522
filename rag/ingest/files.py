"""Which files a run reads, and their hashes."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rag.disk import file_sha256
from rag.errors import InvalidInput


def find_files(paths: Sequence[Path], *, on_unreadable: Callable[[Path, str], None]) -> list[Path]:
    """The files at and below ``paths``, sorted, each once. Hidden files and folders below a path are passed over.

    ``on_unreadable`` is told of each folder that cannot be listed.

    Raises:
        InvalidInput: a path does not exist, or there is no file at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        absolute = path.absolute()
        if absolute.is_dir():
            found.update(dict.fromkeys(_walk(absolute, on_unreadable)))
        elif absolute.exists():
            found[absolute] = None
        else:
            raise InvalidInput(f"There is no file or folder {str(path)!r}; check the path.")
    if not found:
        raise InvalidInput(f"There is no file to read in {', '.join(str(path) for path in paths)}.")
    return list(found)


def _walk(folder: Path, on_unreadable: Callable[[Path, str], None]) -> Iterator[Path]:
    def report(error: OSError) -> None:
        on_unreadable(Path(error.filename), f"The folder cannot be listed: {error.strerror}.")

    for current, folders, files in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(current, name)
            # Pipes and sockets would block for ever; links to nowhere are no files either.
            if not name.startswith(".") and path.is_file():
                yield path


def is_gone(uri: str) -> bool:
    """Whether the URI is that of a file on this machine that is not there any more."""
    parts = urlsplit(uri)
    return parts.scheme == "file" and not os.path.lexists(unquote(parts.path))


def bytes_sha256(data: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_if_readable(path: Path) -> str | None:
    """SHA-256 of a file's bytes; None if it cannot be read, which its reader will then say better."""
    try:
        return file_sha256(path)
    except OSError:
        return None
