"""Reading files, in this process or ahead in others."""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from rag.errors import InvalidInput, UnreadableDocument
from rag.ingest.prepared_document import PreparedDocument, prepare
from rag.ingest.readers.limits import Limits
from rag.ingest.readers.raw_file import FieldNames
from rag.ingest.readers.registry import read_file

MAX_BYTES_AHEAD = 2_000_000
"""Larger files are read in this process, document by document: what another one reads is sent over as a whole."""
FILES_AHEAD = 4
"""Files for each process that are read before they are needed."""


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's hash and its documents; None where it need not be read. Iterating may raise what reading it raises.

    ``num_unchanged`` documents of it are stored as they are.
    """

    sha256: str | None
    documents: Iterable[PreparedDocument] | None
    num_unchanged: int = 0

    def prepared(self, pipeline: str) -> Iterator[PreparedDocument]:
        """The documents, under the name of the pipeline that they go through."""
        for document in self.documents or ():
            yield replace(document, pipeline=pipeline)


class FileReader:
    """Reads files in their order, with ``workers`` processes, or in the caller's thread when that is 0."""

    def __init__(self, limits: Limits, fields: FieldNames, *, workers: int) -> None:
        self._limits, self._fields, self._workers = limits, fields, workers
        # Spawned: a forked copy of a process with running threads may hang.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context) if workers else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def read_ahead(self, wanted: Iterable[tuple[Path, str | None, int]]) -> Iterator[tuple[Path, ReadFile]]:
        """Each path with its file. ``wanted`` holds path, hash, and how many documents it has if they are unchanged."""
        waiting: deque[tuple[Path, ReadFile]] = deque()
        for path, sha256, num_unchanged in wanted:
            documents = None if num_unchanged else self._documents(path)
            waiting.append((path, ReadFile(sha256, documents, num_unchanged)))
            if len(waiting) > self._workers * FILES_AHEAD:
                yield waiting.popleft()
        yield from waiting

    def _documents(self, path: Path) -> Iterable[PreparedDocument]:
        if self._pool is None or not _is_small(path):
            return _read(path, self._limits, self._fields)
        return _Ahead(self._pool.submit(_read_whole, path, self._limits, self._fields), path)


@dataclass(frozen=True, slots=True)
class _Whole:
    """All documents of a file, and what came instead of the rest."""

    documents: tuple[PreparedDocument, ...]
    error: InvalidInput | None


class _Ahead:
    """The documents of a file that another process reads."""

    def __init__(self, reading: "Future[_Whole]", path: Path) -> None:
        self._reading, self._path = reading, path

    def __iter__(self) -> Iterator[PreparedDocument]:
        try:
            whole = self._reading.result()
        except BrokenProcessPool as error:
            raise UnreadableDocument(
                f"{self._path.name} cannot be read: the process that read it, or one beside it, was killed."
            ) from error
        yield from whole.documents
        if whole.error is not None:
            raise whole.error


def _read(path: Path, limits: Limits, fields: FieldNames) -> Iterator[PreparedDocument]:
    for document in read_file(path, limits=limits, fields=fields):
        yield prepare(document, pipeline="")


def _read_whole(path: Path, limits: Limits, fields: FieldNames) -> _Whole:
    documents: list[PreparedDocument] = []
    try:
        for document in _read(path, limits, fields):
            documents.append(document)  # noqa: PERF402 - those before a broken one are kept
    except InvalidInput as error:
        # Errors with arguments of their own do not survive the way between processes.
        return _Whole(tuple(documents), UnreadableDocument(str(error)))
    return _Whole(tuple(documents), None)


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size <= MAX_BYTES_AHEAD
    except OSError:
        return True
