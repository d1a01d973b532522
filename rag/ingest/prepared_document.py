"""What is computed from a document's text alone. Knows nothing of models, so that reading processes start quickly."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.ingest.near_duplicates import signature_of
from rag.records import Document, Passage
from rag.text.clean import normalized_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDocument:
    """A document with all that is computed from its text alone; ``pipeline`` names the way in which that was done.

    ``passages`` are None where they have not been made yet.
    """

    document: Document
    text_sha256: str
    signature: bytes | None
    pipeline: str
    passages: Sequence[Passage] | None = None


def prepare(document: Document, *, pipeline: str) -> PreparedDocument:
    """Hash and sign a document."""
    return PreparedDocument(
        document=document,
        text_sha256=normalized_sha256(document.text),
        signature=signature_of(document.text),
        pipeline=pipeline,
    )
