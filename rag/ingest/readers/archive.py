"""ZIP archives: each file in them goes to its own reader and gives documents of its own.

Nothing is ever written to disk, and the names in an archive are only names.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from rag.errors import InvalidInput, LimitExceeded, UnreadableDocument
from rag.ingest.readers.facts import one_line
from rag.ingest.readers.limits import check_size
from rag.ingest.readers.losses import listed, told_by_the_last
from rag.ingest.readers.raw_file import PartReader, RawFile
from rag.records import Document

_END_SIGNATURE = b"PK\x05\x06"
_ENTRY_SIGNATURE = b"PK\x01\x02"
_MAX_NAME_CHARS = 500  # names become part of the source, which is indexed
# Crossing one of these says something about the archive, any other about one file in it.
_LIMITS_OF_THE_WHOLE = ("max_archive_members", "max_archive_bytes")
_APPLE_COPIES = "__MACOSX"


def read_zip(raw: RawFile, *, read_part: PartReader) -> Iterator[Document]:
    """Read ``.zip``: the documents of its files, as ``source#member=folder/name.txt``.

    Hidden files are passed over. What else is not read, or not wholly, is among the losses of the last document.

    Raises:
        UnreadableDocument: the file is damaged, or nothing in it can be read.
        LimitExceeded: it holds more than ``max_archive_members`` files, unpacks to more than ``max_archive_bytes``, has
            a file that grows more than ``max_compression_ratio`` times, or lies deeper than ``max_archive_depth``.
    """
    max_depth = raw.limits.max_archive_depth
    if raw.containers.count("archive") >= max_depth:
        raise LimitExceeded(
            f"{raw.name} lies within {max_depth} other archives; unpack the outer one", setting="max_archive_depth"
        )
    losses: list[str] = []
    num_documents = 0
    with _open(raw) as archive:
        documents = _read_members(raw, archive, read_part, losses)
        for document in told_by_the_last(documents, losses):
            num_documents += 1
            yield document
    if not num_documents:
        first = f" The first: {losses[0]}" if losses else ""
        raise UnreadableDocument(f"{raw.name} holds no file that can be read.{first}")


def _read_members(
    raw: RawFile, archive: zipfile.ZipFile, read_part: PartReader, losses: list[str]
) -> Iterator[Document]:
    passed_over = []
    for member in _members(archive, losses):
        shown = one_line(member.filename)
        if not read_part.reads(member.filename):
            passed_over.append(shown)
            continue
        try:
            for document in read_part(_part(raw, archive, member)):
                yield replace(document, losses=tuple(f"{shown}: {loss}" for loss in document.losses))
        except InvalidInput as error:
            if isinstance(error, LimitExceeded) and error.setting in _LIMITS_OF_THE_WHOLE:
                raise
            losses.append(str(error) if str(error).startswith(shown) else f"{shown}: {error}")
    if passed_over:
        losses.append(f"Files of kinds that are not read: {listed(passed_over)}.")


def _open(raw: RawFile) -> zipfile.ZipFile:
    data = raw.read()
    _check_num_entries(raw, data)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise UnreadableDocument(f"{raw.name} is damaged or no ZIP archive.") from error
    raw.budget.add_archive(archive.infolist(), name=raw.name)
    return archive


def _check_num_entries(raw: RawFile, data: bytes) -> None:
    """Count the entries before zipfile does, which makes an object of each first: they may be a million."""
    end = data.rfind(_END_SIGNATURE)
    size = int.from_bytes(data[end + 12 : end + 16], "little") if end >= 0 else len(data)
    num_entries = data.count(_ENTRY_SIGNATURE, max(end - size, 0))
    if num_entries > raw.limits.max_archive_members:
        raise LimitExceeded(
            f"{raw.name} holds {num_entries:,} files, more than {raw.limits.max_archive_members:,}; split it or raise "
            "the limit",
            setting="max_archive_members",
        )


def _members(archive: zipfile.ZipFile, losses: list[str]) -> Iterator[zipfile.ZipInfo]:
    """The files to read, each name once; of a name that stands twice the last one, as programs do that unpack."""
    times = Counter(member.filename for member in archive.infolist())
    for name, member in archive.NameToInfo.items():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if member.is_dir() or any(_is_passed_over(part) for part in parts):
            continue
        if len(name) > _MAX_NAME_CHARS:
            losses.append(f"{one_line(name)[:50]}… was not read: its name is longer than {_MAX_NAME_CHARS} characters.")
            continue
        if times[name] > 1:
            losses.append(f"{one_line(name)} stands in the archive {times[name]} times; only the last was read.")
        yield member


def _is_passed_over(part: str) -> bool:
    return part == _APPLE_COPIES or (part.startswith(".") and part.strip(".") != "")


def _part(raw: RawFile, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> RawFile:
    name = one_line(PurePosixPath(member.filename.replace("\\", "/")).name) or "The file"
    content = bytearray()
    for chunk in raw.budget.unpack(archive, member, name=name, archive_name=raw.name):
        content += chunk
        check_size(len(content), max_file_bytes=raw.limits.max_file_bytes, name=name)
    place = raw.place_of("member", member.filename)
    return raw.part(bytes(content), name=name, place=place, container="archive")
