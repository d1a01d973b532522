"""What is said of documents beside what was read from them: tags, origin, and the hash of their file."""

from collections.abc import Mapping
from dataclasses import dataclass

from rag.records import Document, Origin
from rag.store.access import checked_labels
from rag.store.document_sources import AlikeDocuments
from rag.store.documents import StoredDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What the caller of an ingestion says about its documents.

    access_labels: who may see them (see ``rag.store.access``); None leaves those that a document has.
    deduplicate: False keeps every document apart: an evaluation must find each of its paragraphs.
    """

    origin: Origin = "real"
    access_labels: tuple[str, ...] | None = None
    tags: Mapping[str, str]
    deduplicate: bool = True

    def access_labels_for(self, stored: StoredDocument | AlikeDocuments | None) -> tuple[str, ...]:
        """The access labels that a document gets, in the form in which they are stored."""
        if self.access_labels is not None:
            return tuple(checked_labels(self.access_labels))
        return stored.access_labels if stored else ()

    def keep_readers(self, stored: StoredDocument | AlikeDocuments) -> bool:
        """Whether the document stays among those that are told apart from no other: same origin, same readers.

        An exact duplicate has no passages of its own, so it must be found by just those who find its original.
        """
        return (self.origin, self.access_labels_for(stored)) == (stored.origin, stored.access_labels)


NO_LABELS = Labels(tags={})


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDocument:
    """A document on its way into a collection, with all that was not read from its words.

    ``file_sha256`` is the hash of its file. ``min_version`` is the number that its words get at least.
    """

    document: Document
    file_sha256: str
    labels: Labels
    min_version: int = 1
