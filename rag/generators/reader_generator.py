"""The in-house reader as a generator: every answer is copied, and cited to the character."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch

from rag.cancellation import NEVER, Cancellation
from rag.generators.citing import cite, fill_spans
from rag.generators.generator import Generation
from rag.reader.explanation import ReaderExplanation, TokenOrigin
from rag.reader.reader import Reader, ReaderMode, ReaderPassage
from rag.records import AnswerSpan, ExplainedToken, Explanation, Hit, SourceWeight
from rag.text.context import context_line
from rag.transformer.processor import processor_path


class ReaderGenerator:
    """Adapts ``Reader`` to the ``Generator`` protocol."""

    # One question alone uses all cores; two at once would only take turns, and each wait for both.
    one_at_a_time = True

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
        """What else decides its scores: how it is calibrated; and to the last bits number type, processor, threads."""
        return {
            "generator": "reader",
            "reader_dtype": self._reader.dtype,
            "calibration": self._reader.calibration_sha256[:12],
            "processor": processor_path(),
            "num_threads": torch.get_num_threads(),
        }

    def check(self) -> None:
        """Nothing can be missing: its weights were checked when it was loaded."""

    def generate(self, question: str, hits: Sequence[Hit], *, cancellation: Cancellation = NEVER) -> Generation:
        """Read all hits at once; ranges in passages become ranges in documents."""
        reading = self._reader.read(question, reader_passages(hits), mode=self._mode, cancellation=cancellation)
        citations = tuple(cite(hits[r.passage], r.start, r.end) for r in reading.ranges)
        copied = [
            AnswerSpan(
                answer_start=read.answer_start,
                answer_end=read.answer_start + read.end - read.start,
                citation=index,
                start=citations[index].start,
                end=citations[index].end,
            )
            for index, read in enumerate(reading.ranges)
        ]
        return Generation(
            answer=reading.answer,
            citations=citations,
            confidence=reading.confidence,
            answerability=reading.answerability,
            faithfulness=reading.faithfulness,
            relevance=reading.relevance,
            spans=fill_spans(copied, len(reading.answer)),
        )

    def explain(self, question: str, hits: Sequence[Hit]) -> Explanation:
        """Answer once more, and tell where each token of the answer comes from."""
        reading = self._reader.read(question, reader_passages(hits), mode=self._mode, explain=True)
        found = reading.explanation or ReaderExplanation(tokens=(), heat=())
        weights = [token.passage_weights for token in found.tokens]
        return Explanation(
            answer=reading.answer,
            passage_ids=tuple(hit.passage_id for hit in hits),
            passage_weights=tuple(fmean(column) for column in zip(*weights, strict=True)) or (0.0,) * len(hits),
            tokens=tuple(_explained(token, hits) for token in found.tokens),
            sources=tuple(
                SourceWeight(
                    passage_id=hit.passage_id,
                    start=hit.start + source.start,
                    end=hit.start + source.end,
                    weight=source.weight,
                )
                for hit, sources in zip(hits, found.heat, strict=False)
                for source in sources
            ),
        )


def reader_passages(hits: Sequence[Hit]) -> list[ReaderPassage]:
    """Hits as the reader takes them."""
    return [
        ReaderPassage(context=context_line(hit.title, hit.headings), text=hit.text, search_score=hit.scores.fused)
        for hit in hits
    ]


def _explained(token: TokenOrigin, hits: Sequence[Hit]) -> ExplainedToken:
    hit = None if token.passage is None else hits[token.passage]
    return ExplainedToken(
        text=token.text,
        passage_id=None if hit is None else hit.passage_id,
        start=None if hit is None or token.start is None else hit.start + token.start,
        end=None if hit is None or token.end is None else hit.start + token.end,
        probability=token.probability,
        copied=token.copied,
        written=token.written,
        passage_weights=token.passage_weights,
    )
