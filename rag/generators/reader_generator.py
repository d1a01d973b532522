"""The in-house reader as a generator: every answer is copied, and cited to the character."""

from collections.abc import Mapping, Sequence

from rag.generators.generator import Generation
from rag.reader.reader import Reader, ReaderMode, ReaderPassage
from rag.records import Citation, Hit
from rag.text.context import context_line


class ReaderGenerator:
    """Adapts ``Reader`` to the ``Generator`` protocol."""

    def __init__(self, reader: Reader, *, mode: ReaderMode = "combined") -> None:
        self._reader, self._mode = reader, mode

    @property
    def name(self) -> str:
        """Name, and the way of answering where it is not the default one."""
        return self._reader.name if self._mode == "combined" else f"{self._reader.name}:{self._mode}"

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the reader's weights file."""
        return self._reader.config.weights_sha256

    @property
    def abstain_below(self) -> float:
        """The threshold that was chosen when the reader was calibrated."""
        return self._reader.config.abstain_below

    @property
    def settings(self) -> Mapping[str, object]:
        """The number type that it computes in."""
        return {"reader_dtype": self._reader.dtype}

    def generate(self, question: str, hits: Sequence[Hit]) -> Generation:
        """Read all hits at once; ranges in passages become ranges in documents."""
        passages = [ReaderPassage(context=context_line(hit.title, hit.headings), text=hit.text) for hit in hits]
        reading = self._reader.read(question, passages, mode=self._mode)
        return Generation(
            answer=reading.answer,
            citations=tuple(_cite(hits[r.passage], r.start, r.end) for r in reading.ranges),
            confidence=reading.confidence,
            relevance=reading.relevance,
        )


def _cite(hit: Hit, start: int, end: int) -> Citation:
    return Citation(
        passage_id=hit.passage_id,
        document_id=hit.document_id,
        document_version=hit.document_version,
        title=hit.title,
        source=hit.source,
        page=hit.page,
        row=hit.row,
        start=hit.start + start,
        end=hit.start + end,
        quote=hit.text[start:end],
    )
