"""Which reader reads which file, and the one place where what readers run into becomes an error for people."""

import io
import logging
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType

from rag.errors import RagError, UnreadableDocument
from rag.ingest.readers.csv_table import read_csv
from rag.ingest.readers.docx import read_docx
from rag.ingest.readers.facts import one_line
from rag.ingest.readers.html import read_html
from rag.ingest.readers.json_records import read_json, read_json_lines
from rag.ingest.readers.markdown import read_markdown
from rag.ingest.readers.pdf import read_pdf
from rag.ingest.readers.plain_text import read_plain_text
from rag.ingest.readers.raw_file import RawFile, Reader, check_size
from rag.ingest.readers.restructured_text import read_restructured_text
from rag.records import Document

logger = logging.getLogger(__name__)

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".csv": read_csv,
        ".docx": read_docx,
        ".htm": read_html,
        ".html": read_html,
        ".json": read_json,
        ".jsonl": read_json_lines,
        ".log": read_plain_text,
        ".markdown": read_markdown,
        ".md": read_markdown,
        ".ndjson": read_json_lines,
        ".pdf": read_pdf,
        ".rst": read_restructured_text,
        ".text": read_plain_text,
        ".tsv": read_csv,
        ".txt": read_plain_text,
    }
)
SUPPORTED_ENDINGS = tuple(READERS)

_MAX_REASON_CHARS = 200


def read_file(path: Path, *, max_file_bytes: int, max_document_chars: int) -> Iterator[Document]:
    """The documents of a file, one by one. The reader is chosen by the file's ending, in any case.

    An iterator may raise after it has yielded: the other records of a file with a broken one are good.

    Raises:
        UnreadableDocument: the ending is not supported, the file is missing, empty, damaged, encrypted, without text,
            or may not be read; the message says which, and what to do about it.
        LimitExceeded: the file is larger than ``max_file_bytes``, or a document longer than ``max_document_chars``.
    """
    name = _shown_name(path.name)
    reader = _find_reader(name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableDocument(f"{name} is not a regular file.")
        _check_content_size(status.st_size, max_file_bytes=max_file_bytes, name=name)
        with path.open("rb") as stream:
            raw = RawFile(
                stream=stream,
                name=name,
                uri=path.absolute().as_uri(),
                max_file_bytes=max_file_bytes,
                max_document_chars=max_document_chars,
            )
            yield from _guard(reader(raw), name)
    except OSError as error:
        raise _unreadable(name, error) from error


def read_bytes(
    data: bytes, *, name: str, source: str, max_file_bytes: int, max_document_chars: int
) -> Iterator[Document]:
    """The documents of an uploaded file: as ``read_file``, with the ending taken from ``name``.

    ``source`` is the URI under which the upload is known; it takes the place of the file's.

    Raises:
        UnreadableDocument: see ``read_file``.
        LimitExceeded: see ``read_file``.
    """
    shown = _shown_name(name)
    reader = _find_reader(shown)
    _check_content_size(len(data), max_file_bytes=max_file_bytes, name=shown)
    raw = RawFile(
        stream=io.BytesIO(data),
        name=shown,
        uri=source,
        max_file_bytes=max_file_bytes,
        max_document_chars=max_document_chars,
    )
    yield from _guard(reader(raw), shown)


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
