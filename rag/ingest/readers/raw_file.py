"""A file on its way to a reader: its bytes, its name, where it came from, and the limits that hold for it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO, Literal, Protocol
from urllib.parse import quote

from rag.ingest.readers.encoding import decode_text
from rag.ingest.readers.limits import Limits, UnpackingBudget, check_size
from rag.records import Document

_NUM_DECLARING_BYTES = 4_096

Container = Literal["archive", "message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Which fields of a JSON record hold its text, its title and its id; None: those that usually do."""

    text: str | None = None
    title: str | None = None
    id: str | None = None

    @property
    def described(self) -> str:
        """The names that were given, for the record of how a document was read; empty if none were."""
        given = {"text": self.text, "title": self.title, "id": self.id}
        return "".join(f":{kind}_field={quote(name)}" for kind, name in given.items() if name is not None)


NO_FIELDS = FieldNames()


@dataclass(frozen=True, slots=True)
class RawText:
    """The content of a text file, what is worth noting about its encoding, and what could not be decoded."""

    text: str
    metadata: dict[str, str]
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """An opened file. ``uri`` becomes the ``file`` of its documents; ``name`` has the ending and is shown to people.

    A file that lies within another has the other's ``uri``; ``place`` says where in it, and ``containers`` in what it
    lies, outermost first.
    """

    stream: BinaryIO
    name: str
    uri: str
    limits: Limits
    fields: FieldNames = NO_FIELDS
    place: str = ""
    containers: tuple[Container, ...] = ()
    budget: UnpackingBudget

    @property
    def source(self) -> str:
        """The URI of this file itself."""
        return f"{self.uri}#{self.place}" if self.place else self.uri

    def place_of(self, kind: str, name: object) -> str:
        """The place of a part of this file, as ``row=3`` or, in an archive, ``member=notes/a.jsonl&row=3``."""
        within = f"{self.place}&" if self.place else ""
        return f"{within}{kind}={quote(str(name), safe='/', errors='replace')}"

    def part(self, data: bytes, *, name: str, place: str, container: Container) -> "RawFile":
        """A file that lies within this one, at that place."""
        return replace(self, stream=BytesIO(data), name=name, place=place, containers=(*self.containers, container))

    def read(self) -> bytes:
        """The whole content.

        Raises:
            LimitExceeded: there is more of it than ``max_file_bytes`` (a file may grow while it is read).
        """
        data = self.stream.read(self.limits.max_file_bytes + 1)
        check_size(len(data), max_file_bytes=self.limits.max_file_bytes, name=self.name)
        return data

    def read_text(self, *, declaration: re.Pattern[bytes] | None = None) -> RawText:
        """The whole content as text. Nothing is noted about UTF-8.

        ``declaration`` finds, as its group ``encoding``, what the content says of itself near its beginning.

        Raises:
            LimitExceeded: as for ``read``.
            UnreadableDocument: the content is not text.
        """
        data = self.read()
        found = declaration.search(data, 0, _NUM_DECLARING_BYTES) if declaration else None
        declared = found["encoding"].decode("ascii", "replace") if found else None
        decoded = decode_text(data, name=self.name, declared=declared)
        return RawText(
            decoded.text,
            {} if decoded.encoding == "utf-8" else {"encoding": decoded.encoding},
            (decoded.loss,) if decoded.loss else (),
        )


Reader = Callable[[RawFile], Iterator[Document]]


class PartReader(Protocol):
    """Reads files that lie within others, each by its ending."""

    def __call__(self, raw: RawFile) -> Iterator[Document]:
        """The documents of such a file.

        Raises:
            UnreadableDocument: see ``registry.read_file``.
            LimitExceeded: see ``registry.read_file``.
        """

    def reads(self, name: str) -> bool:
        """Whether there is a reader for the ending of this name."""
