"""Where a run has its files read and its passages embedded; what becomes of them, the run itself decides and stores."""

import multiprocessing
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rag.ingest.file_reader import MAX_BYTES_AHEAD, FileAhead, read_documents, read_path
from rag.ingest.preparation import Preparer
from rag.ingest.prepared_document import PreparedDocument
from rag.ingest.readers.limits import Limits
from rag.ingest.readers.raw_file import FieldNames

FILES_AHEAD = 4
"""Files for each process that are read before they are needed."""


class Engine(Protocol):
    """Reads and embeds, and decides nothing: the same call gives the same, wherever and however often it is done.

    num_readers: processes that read files; 0: the thread that wants the documents.
    num_embedders: batches that are embedded at the same time.
    """

    num_readers: int
    num_embedders: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def read(self, path: Path, limits: Limits, fields: FieldNames) -> Iterable[PreparedDocument]:
        """Begin to read a file. Iterating waits for its documents, and raises as ``registry.read_file``."""
        ...

    def embed(self, preparer: Preparer, texts: Sequence[str]) -> NDArray[np.float16]:
        """What ``preparer.embed`` gives: unit vectors (N, dimension). May be called by several threads at once."""
        ...

    def cancel(self) -> None:
        """Give up what is under way. Whoever waits for it gets an error, and nothing new can be begun."""
        ...


class LocalEngine:
    """Embeds in this process; reads with ``workers`` processes beside it, or in the caller's thread when that is 0."""

    num_embedders = 1

    def __init__(self, *, workers: int = 0) -> None:
        self.num_readers = workers
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

    def read(self, path: Path, limits: Limits, fields: FieldNames) -> Iterable[PreparedDocument]:
        """See ``Engine``."""
        if self._pool is None or not is_small(path):
            return read_documents(path, limits, fields)
        return FileAhead(self._pool.submit(read_path, path, limits, fields), path)

    def embed(self, preparer: Preparer, texts: Sequence[str]) -> NDArray[np.float16]:
        """See ``Engine``."""
        return preparer.embed(texts)

    def cancel(self) -> None:
        """See ``Engine``. Nothing here waits for anybody else, so what has begun may end."""


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


def read_ahead(
    engine: Engine, wanted: Iterable[tuple[Path, str | None, int]], limits: Limits, fields: FieldNames
) -> Iterator[tuple[Path, ReadFile]]:
    """Each path with its file. ``wanted`` holds path, hash, and how many documents it has if they are unchanged."""
    waiting: deque[tuple[Path, ReadFile]] = deque()
    for path, sha256, num_unchanged in wanted:
        documents = None if num_unchanged else engine.read(path, limits, fields)
        waiting.append((path, ReadFile(sha256, documents, num_unchanged)))
        if len(waiting) > engine.num_readers * FILES_AHEAD:
            yield waiting.popleft()
    yield from waiting


def is_small(path: Path) -> bool:
    """Whether a file may be read elsewhere. What is no regular file may not: opening it could block for ever."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES_AHEAD
