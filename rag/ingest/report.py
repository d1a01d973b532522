"""What an ingestion run says while it works and when it is done."""

from dataclasses import dataclass

from rag.store.documents import StoredDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionProgress:
    """How far a run is; ``current`` names what it has just handled.

    ``num_documents`` counts what has been stored, found unchanged or refused so far.
    """

    num_files: int
    num_files_done: int
    num_documents: int
    num_passages: int
    current: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePair:
    """A document and the one that it repeats, by source."""

    source: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReason:
    """What was refused, or what of a file was lost, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionReport:
    """What became of the documents of a run. Near duplicates are also counted as added or updated.

    ``run_id`` is None for a dry run, which writes nothing. ``num_real`` and ``num_synthetic`` count, by origin, the
    documents that were read and are in the collection now: added, updated, unchanged and exact duplicates.

    ``partly_read`` has an entry for each thing that was lost of a file that was read; ``source`` is the file's URI. A
    file that is unchanged is not read, so it is not in there.

    ``num_passages_reused`` of the ``num_passages`` written took over the vector of the same text.
    """

    run_id: int | None
    collection: str
    num_added: int
    num_updated: int
    num_unchanged: int
    num_exact_duplicates: int
    num_near_duplicates: int
    num_refused: int
    num_removed: int
    num_moved: int
    num_passages: int
    num_passages_reused: int
    num_real: int
    num_synthetic: int
    exact_duplicates: tuple[SourcePair, ...]
    near_duplicates: tuple[SourcePair, ...]
    refused: tuple[SourceReason, ...]
    partly_read: tuple[SourceReason, ...]
    seconds: float

    @property
    def passages_per_second(self) -> float:
        """Passages written in a second of the run."""
        return self.num_passages / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What became of a file that was given as bytes: its documents now, and what of it was lost, as in a report."""

    documents: tuple[StoredDocument, ...]
    partly_read: tuple[SourceReason, ...]
