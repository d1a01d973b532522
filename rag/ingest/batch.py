"""Documents on their way into a collection: batches that are read, embedded and then stored in one transaction."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from rag.ingest.labels import LabelledDocument
from rag.ingest.passage_vectors import PassageVectors
from rag.ingest.prepared_document import PreparedDocument
from rag.ingest.report import SourceReason
from rag.records import Passage
from rag.store.runs import FileStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingDocument:
    """A document that is to be stored."""

    prepared: PreparedDocument
    labelled: LabelledDocument

    @property
    def source(self) -> str:
        """Its source."""
        return self.prepared.document.source


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedFile:
    """A file of which all documents are in this batch or in earlier ones.

    ``sources`` are those that it gave. ``is_whole``: it gave all that it holds, so that others of it are gone, and a
    file with this ``sha256`` need not be read again.
    """

    file: str
    status: FileStatus
    num_documents: int = 0
    sources: Set[str] = frozenset()
    sha256: str = ""
    is_whole: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one transaction stores. ``passages``, by source, are those of the documents that were found to need them,
    and ``vectors`` has what of them was embedded or found.

    ``refused`` is what was refused on the way and is no file of its own. ``moved`` holds files that have another URI by
    now, as (former, present); they are renamed first.
    """

    documents: tuple[PendingDocument, ...]
    finished: tuple[FinishedFile, ...] = ()
    refused: tuple[SourceReason, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    passages: Mapping[str, Sequence[Passage]] = field(default_factory=dict)
    vectors: PassageVectors | None = None
