"""A file on its way to a reader: its bytes, its name, where it came from, and the limits that hold for it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from rag.errors import LimitExceeded
from rag.ingest.readers.encoding import decode_text
from rag.records import Document

_NUM_DECLARING_BYTES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """An opened file. ``uri`` becomes the ``file`` of its documents; ``name`` has the ending and is shown to people."""

    stream: BinaryIO
    name: str
    uri: str
    max_file_bytes: int
    max_document_chars: int

    def read(self) -> bytes:
        """The whole content.

        Raises:
            LimitExceeded: there is more of it than ``max_file_bytes`` (a file may grow while it is read).
        """
        data = self.stream.read(self.max_file_bytes + 1)
        check_size(len(data), max_file_bytes=self.max_file_bytes, name=self.name)
        return data

    def read_text(self, *, declaration: re.Pattern[bytes] | None = None) -> tuple[str, dict[str, str]]:
        """The whole content as text, and what is worth noting about its encoding (nothing for UTF-8).

        ``declaration`` finds, as its group ``encoding``, what the content says of itself near its beginning.

        Raises:
            LimitExceeded: as for ``read``.
            UnreadableDocument: the content is not text.
        """
        data = self.read()
        found = declaration.search(data, 0, _NUM_DECLARING_BYTES) if declaration else None
        declared = found["encoding"].decode("ascii", "replace") if found else None
        text, encoding = decode_text(data, name=self.name, declared=declared)
        return text, {} if encoding == "utf-8" else {"encoding": encoding}


Reader = Callable[[RawFile], Iterator[Document]]


def check_size(num_bytes: int, *, max_file_bytes: int, name: str) -> None:
    """Refuse what is larger than ``max_file_bytes``.

    Raises:
        LimitExceeded: it is.
    """
    if num_bytes > max_file_bytes:
        raise LimitExceeded(
            f"{name} holds more than {max_file_bytes:,} bytes; split it or raise the limit", setting="max_file_bytes"
        )


def check_chars(num_chars: int, *, max_document_chars: int, name: str) -> None:
    """Refuse a document with more text than ``max_document_chars``.

    Raises:
        LimitExceeded: it has.
    """
    if num_chars > max_document_chars:
        raise LimitExceeded(
            f"{name} holds more than {max_document_chars:,} characters of text; split it or raise the limit",
            setting="max_document_chars",
        )
