"""Documents as they are stored: what is known of one, what ingestion says of one, and the words of a version."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rag.records import Metadata, Origin, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document as it stands now, without its text. ``text_sha256`` is that of the normalised text."""

    id: int
    collection_id: int
    source: str
    file: str
    file_sha256: str
    title: str
    media_type: str
    origin: Origin
    access_labels: tuple[str, ...]
    tags: Mapping[str, str]
    metadata: Metadata
    version: int
    text_sha256: str
    duplicate_of: int | None
    near_duplicate_of: int | None
    pipeline: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDetails:
    """What ingestion says of a document beside what it read: hashes, labels, and whose duplicate it is.

    ``signature`` is its MinHash signature, and ``pipeline`` names the way in which it was read and split. The version
    gets the number ``min_version`` or a later one: a document that comes from another database keeps its number.
    """

    file_sha256: str
    text_sha256: str
    pipeline: str
    origin: Origin = "real"
    access_labels: Collection[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    signature: bytes | None = None
    duplicate_of: int | None = None
    near_duplicate_of: int | None = None
    min_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentText:
    """The words of one version of a document; ``document`` is what stands now, which may be a later version."""

    document: StoredDocument
    version: int
    title: str
    text: str
    sections: tuple[Section, ...]
    text_sha256: str
    created_at: datetime
