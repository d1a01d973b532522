"""What is said of documents beside what was read from them: tags, origin, and the hash of their file."""

from collections.abc import Mapping
from dataclasses import dataclass

from rag.records import Document, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the caller of an ingestion says about its documents.

    ``deduplicate`` False keeps every document apart: an evaluation must find each of its paragraphs.
    """

    origin: Origin = "real"
    tags: Mapping[str, str]
    deduplicate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDocument:
    """A document on its way into a collection, with all that was not read from its words.

    ``file_sha256`` is the hash of its file. ``min_version`` is the number that its words get at least.
    """

    document: Document
    file_sha256: str
    labels: Labels
    min_version: int = 1
