"""Office files as packages (ECMA-376, part 2): ZIP archives of XML, checked before any parser sees them."""

import io
import zipfile
from collections.abc import Iterator
from xml.parsers import expat

from rag.errors import UnreadableDocument
from rag.ingest.readers.raw_file import RawFile

_OLD_OFFICE_SIGNATURE = b"\xd0\xcf\x11\xe0"
_XML_ENDINGS = (".xml", ".rels", ".vml")


def read_package(raw: RawFile, *, kind: str, old_ending: str) -> bytes:
    """The content of an office file that is safe to parse. ``kind`` and ``old_ending`` are for messages.

    Raises:
        UnreadableDocument: the file is no such package, is protected by a password, or declares entities, through which
            a few lines of XML can grow without end; the standard forbids them.
        LimitExceeded: the file is too large, or unpacks to too much.
    """
    data = raw.read()
    if data.startswith(_OLD_OFFICE_SIGNATURE):
        raise UnreadableDocument(
            f"{raw.name} is password-protected or an old {old_ending} file; save it as plain {old_ending}x first."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            raw.budget.add_archive(archive.infolist(), name=raw.name)
            for member in archive.infolist():
                chunks = raw.budget.unpack(archive, member, name=raw.name, archive_name=raw.name)
                if member.filename.lower().endswith(_XML_ENDINGS) and _declares_a_document_type(chunks):
                    raise UnreadableDocument(
                        f"{raw.name} declares XML entities, which no office program writes; save it anew."
                    )
                for _ in chunks:
                    pass  # the rest is unpacked to be counted
    except zipfile.BadZipFile as error:
        raise UnreadableDocument(f"{raw.name} is damaged: {kind} files are ZIP archives, and this is none.") from error
    return data


def _declares_a_document_type(chunks: Iterator[bytes]) -> bool:
    """Whether a DOCTYPE stands before the root element. Reads no further than needed to know."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _stop_at_document_type
    parser.StartElementHandler = _stop_at_root
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
    except _DocumentType:
        return True
    except (_Root, expat.ExpatError):
        return False  # what is no XML is for the reader to say
    return False


class _DocumentType(Exception):
    """A DOCTYPE has been met."""


class _Root(Exception):
    """The root element has been met."""


def _stop_at_document_type(*_: object) -> None:
    raise _DocumentType


def _stop_at_root(*_: object) -> None:
    raise _Root
