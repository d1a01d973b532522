"""Reading a file to its documents, hashed and signed. Knows nothing of models, so that processes start quickly."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from rag.errors import InvalidInput, UnreadableDocument
from rag.ingest.prepared_document import PreparedDocument, prepare
from rag.ingest.readers.limits import Limits
from rag.ingest.readers.raw_file import FieldNames
from rag.ingest.readers.registry import read_file

MAX_BYTES_AHEAD = 2_000_000
"""Larger files are read in the process of the run, document by document: what another one reads comes as a whole."""


@dataclass(frozen=True, slots=True)
class WholeFile:
    """All documents of a file, and what came instead of the rest."""

    documents: tuple[PreparedDocument, ...]
    error: InvalidInput | None = None


class FileAhead:
    """The documents of a file that is read elsewhere. Iterating waits for it, and raises what reading it raised."""

    def __init__(self, reading: "Future[WholeFile]", path: Path) -> None:
        self._reading, self._path = reading, path

    def __iter__(self) -> Iterator[PreparedDocument]:
        try:
            whole = self._reading.result()
        except BrokenProcessPool as error:
            raise reader_killed(self._path) from error
        yield from whole.documents
        if whole.error is not None:
            raise whole.error


def read_documents(path: Path, limits: Limits, fields: FieldNames) -> Iterator[PreparedDocument]:
    """The documents of a file, one by one; raises as ``registry.read_file``."""
    for document in read_file(path, limits=limits, fields=fields):
        yield prepare(document, pipeline="")


def read_path(path: Path, limits: Limits, fields: FieldNames) -> WholeFile:
    """All documents of a file, for another process."""
    return whole_file(read_documents(path, limits, fields))


def whole_file(reading: Iterable[PreparedDocument]) -> WholeFile:
    """Read all documents of a file, or those before a broken one."""
    documents: list[PreparedDocument] = []
    try:
        for document in reading:
            documents.append(document)  # noqa: PERF402 - those before a broken one are kept
    except InvalidInput as error:
        # Errors with arguments of their own do not survive the way between processes.
        return WholeFile(tuple(documents), UnreadableDocument(str(error)))
    return WholeFile(tuple(documents))


def reader_killed(path: Path) -> UnreadableDocument:
    """What is said of a file whose reading took its process down."""
    return UnreadableDocument(f"{path.name} cannot be read: the process that read it, or one beside it, was killed.")
