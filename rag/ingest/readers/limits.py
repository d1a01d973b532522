"""What a file may cost before it is refused: its size, its text, and what it unpacks to."""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from rag.config import Settings
from rag.errors import LimitExceeded, UnreadableDocument

# A file of blank lines may well shrink a thousandfold, and does no harm as long as it is small.
_NUM_UNJUDGED_BYTES = 1_000_000
_CHUNK_BYTES = 65_536
_ENCRYPTED = 0x1
# The others unpack without bound from a few bytes at a time, and hardly any program writes them.
_METHODS = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings of these names, for readers."""

    max_file_bytes: int
    max_document_chars: int
    max_archive_members: int
    max_archive_bytes: int
    max_compression_ratio: int
    max_archive_depth: int
    max_message_depth: int


def limits_of(settings: Settings) -> Limits:
    """The limits among the settings."""
    return Limits(**{name: getattr(settings, name) for name in Limits.__dataclass_fields__})


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


class UnpackingBudget:
    """What may still be unpacked from one file, ZIP archives and office files within it included.

    A few kilobytes can unpack to gigabytes (Fifield, "A better zip bomb", 2019), and an archive may lie about the sizes
    of its members. So what an archive declares is checked first, and what comes out is counted as it comes.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_members = self._num_bytes = 0

    def add_archive(self, members: list[zipfile.ZipInfo], *, name: str) -> None:
        """Check what an archive says of its members, before any is unpacked.

        Raises:
            LimitExceeded: there are more than ``max_archive_members``, or they say that they are too large.
        """
        self._num_members += len(members)
        if self._num_members > self._limits.max_archive_members:
            raise LimitExceeded(
                f"{name} holds more than {self._limits.max_archive_members:,} files; split it or raise the limit",
                setting="max_archive_members",
            )
        self._check_total(self._num_bytes + sum(member.file_size for member in members), name)
        for member in members:
            self._check_ratio(member, member.file_size, name)

    def unpack(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, name: str, archive_name: str
    ) -> Iterator[bytes]:
        """The content of a member, piece by piece. ``name`` is what messages call it.

        Raises:
            LimitExceeded: all that was unpacked is more than ``max_archive_bytes``, or this member grew more than
                ``max_compression_ratio`` times.
            UnreadableDocument: the member is encrypted, damaged, or packed in a way that is not supported.
        """
        if member.flag_bits & _ENCRYPTED:
            raise UnreadableDocument(f"{name} is encrypted; pack it without a password.")
        if member.compress_type not in _METHODS:
            raise UnreadableDocument(f"{name} is packed with an unusual method; pack it anew with deflate.")
        num_bytes = 0
        try:
            with archive.open(member) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    num_bytes += len(chunk)
                    self._num_bytes += len(chunk)
                    self._check_total(self._num_bytes, archive_name)
                    self._check_ratio(member, num_bytes, archive_name)
                    yield chunk
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, zlib.error) as error:
            raise UnreadableDocument(f"{name} is damaged.") from error

    def _check_total(self, num_bytes: int, name: str) -> None:
        if num_bytes > self._limits.max_archive_bytes:
            raise LimitExceeded(
                f"{name} unpacks to more than {self._limits.max_archive_bytes:,} bytes; split it or raise the limit",
                setting="max_archive_bytes",
            )

    def _check_ratio(self, member: zipfile.ZipInfo, num_bytes: int, name: str) -> None:
        if num_bytes > max(_NUM_UNJUDGED_BYTES, member.compress_size * self._limits.max_compression_ratio):
            raise LimitExceeded(
                f"{name} holds a file that unpacks to more than {self._limits.max_compression_ratio} times its size, "
                "as only files made to do harm do; pack it anew, or raise the limit",
                setting="max_compression_ratio",
            )
