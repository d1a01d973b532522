"""Which reader reads which file, and the one place where what readers run into becomes an error for people."""

import io
import logging
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePath
from types import MappingProxyType

from rag.errors import RagError, UnreadableDocument
from rag.ingest.readers.archive import read_zip
from rag.ingest.readers.csv_table import read_csv
from rag.ingest.readers.docx import read_docx
from rag.ingest.readers.eml import read_eml
from rag.ingest.readers.facts import one_line
from rag.ingest.readers.html import read_html
from rag.ingest.readers.json_records import read_json, read_json_lines
from rag.ingest.readers.limits import Limits, UnpackingBudget, check_size
from rag.ingest.readers.markdown import read_markdown
from rag.ingest.readers.pdf import read_pdf
from rag.ingest.readers.plain_text import read_plain_text
from rag.ingest.readers.pptx import read_pptx
from rag.ingest.readers.raw_file import NO_FIELDS, FieldNames, RawFile, Reader
from rag.ingest.readers.restructured_text import read_restructured_text
from rag.ingest.readers.xlsx import read_xlsx
from rag.records import Document

logger = logging.getLogger(__name__)


class _PartReader:
    """The readers of this module, for those that find files within theirs."""

    def __call__(self, raw: RawFile) -> Iterator[Document]:
        """See ``PartReader``."""
        num_bytes = raw.stream.seek(0, io.SEEK_END)
        raw.stream.seek(0)
        yield from _read_stream(raw, num_bytes)

    def reads(self, name: str) -> bool:
        """See ``PartReader``."""
        return PurePath(name).suffix.lower() in READERS


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".csv": read_csv,
        ".docx": read_docx,
        ".eml": partial(read_eml, read_part=_PartReader()),
        ".htm": read_html,
        ".html": read_html,
        ".json": read_json,
        ".jsonl": read_json_lines,
        ".log": read_plain_text,
        ".markdown": read_markdown,
        ".md": read_markdown,
        ".ndjson": read_json_lines,
        ".pdf": read_pdf,
        ".pptx": read_pptx,
        ".rst": read_restructured_text,
        ".text": read_plain_text,
        ".tsv": read_csv,
        ".txt": read_plain_text,
        ".xlsm": read_xlsx,
        ".xlsx": read_xlsx,
        ".zip": partial(read_zip, read_part=_PartReader()),
    }
)
SUPPORTED_ENDINGS = tuple(READERS)

_MAX_REASON_CHARS = 200
_WITH_RECORDS = (".json", ".jsonl", ".ndjson", ".eml", ".zip")


def holds_records(name: str) -> bool:
    """Whether a file may hold JSON records, so that what is read of it depends on the names of their fields."""
    return PurePath(name).suffix.lower() in _WITH_RECORDS


def read_file(path: Path, *, limits: Limits, fields: FieldNames = NO_FIELDS) -> Iterator[Document]:
    """The documents of a file, one by one. The reader is chosen by the file's ending, in any case.

    An iterator may raise after it has yielded: the other records of a file with a broken one are good. ``fields`` are
    those of JSON records.

    Raises:
        UnreadableDocument: the ending is not supported, the file is missing, empty, damaged, encrypted, without text,
            or may not be read; the message says which, and what to do about it.
        LimitExceeded: the file is larger than ``max_file_bytes``, a document longer than ``max_document_chars``, or
            another of ``limits`` is crossed.
    """
    name = _shown_name(path.name)
    reader = _find_reader(name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableDocument(f"{name} is not a regular file.")
        _check_content_size(status.st_size, max_file_bytes=limits.max_file_bytes, name=name)
        with path.open("rb") as stream:
            raw = RawFile(
                stream=stream,
                name=name,
                uri=path.absolute().as_uri(),
                limits=limits,
                fields=fields,
                budget=UnpackingBudget(limits),
            )
            yield from _guard(reader(raw), name)
    except OSError as error:
        raise _unreadable(name, error) from error


def read_bytes(
    data: bytes, *, name: str, source: str, limits: Limits, fields: FieldNames = NO_FIELDS
) -> Iterator[Document]:
    """The documents of an uploaded file: as ``read_file``, with the ending taken from ``name``.

    ``source`` is the URI under which the upload is known; it takes the place of the file's.

    Raises:
        UnreadableDocument: see ``read_file``.
        LimitExceeded: see ``read_file``.
    """
    shown = _shown_name(name)
    raw = RawFile(
        stream=io.BytesIO(data),
        name=shown,
        uri=source,
        limits=limits,
        fields=fields,
        budget=UnpackingBudget(limits),
    )
    yield from _read_stream(raw, len(data))


def _read_stream(raw: RawFile, num_bytes: int) -> Iterator[Document]:
    reader = _find_reader(raw.name)
    _check_content_size(num_bytes, max_file_bytes=raw.limits.max_file_bytes, name=raw.name)
    yield from _guard(reader(raw), raw.name)


def _shown_name(name: str) -> str:
    # A file's name may hold bytes that cannot be printed, and an upload's whatever its sender likes.
    return one_line(PurePath(name.replace("\\", "/")).name) or "The file"


def _find_reader(name: str) -> Reader:
    ending = PurePath(name).suffix.lower()
    reader = READERS.get(ending)
    if reader is None:
        what = f"has the ending {ending}, which is not supported" if ending else "has no ending"
        raise UnreadableDocument(f"{name} {what}; supported are {', '.join(SUPPORTED_ENDINGS)}.")
    return reader


def _check_content_size(num_bytes: int, *, max_file_bytes: int, name: str) -> None:
    if num_bytes == 0:
        raise UnreadableDocument(f"{name} is empty.")
    check_size(num_bytes, max_file_bytes=max_file_bytes, name=name)


def _unreadable(name: str, error: OSError) -> UnreadableDocument:
    return UnreadableDocument(f"{name} cannot be read: {(error.strerror or str(error)).lower()}.")


def _guard(documents: Iterator[Document], name: str) -> Iterator[Document]:
    """Pass documents on; whatever a parser raises on an odd file becomes an ``UnreadableDocument``."""
    while True:
        try:
            document = next(documents)
        except StopIteration:
            return
        except RagError:
            raise
        except OSError as error:
            raise _unreadable(name, error) from error
        except Exception as error:  # noqa: BLE001 - the edge: parsers raise anything at all on damaged or hostile files
            logger.debug("The parser failed on %s.", name, exc_info=True)
            reason = one_line(str(error))[:_MAX_REASON_CHARS] or type(error).__name__
            raise UnreadableDocument(f"{name} is damaged or not what its ending says: {reason}") from error
        yield document
