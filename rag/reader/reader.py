"""The reader as the rest of the software sees it: a question and passages in, a reading with exact ranges out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from rag.reader.checkpoint import ReaderConfig, load_reader
from rag.reader.confidence import ScoringWeights, confidence_of, features_of, rank_candidates
from rag.reader.decode import (
    Span,
    WrittenToken,
    as_span,
    find_candidates,
    write_answer,
)
from rag.reader.input_format import PairBatch, ReaderPair, ReaderTokenizer
from rag.reader.model import Encoded, Memory, ReaderModel

ReaderMode = Literal["combined", "span", "decoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderPassage:
    """What the reader reads: ``context`` is the line of title and headings, see ``rag.text.context``."""

    context: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRange:
    """Characters ``start:end`` of the text of ``passages[passage]``."""

    passage: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the reader makes of a question.

    answer: readable text; empty if no passage has any.
    ranges: where each copied piece of it stands, in order.
    confidence: calibrated probability that it is right, 0 to 1.
    relevance: for each passage, the probability that it holds an answer, 0 to 1.
    """

    answer: str
    ranges: tuple[ReadRange, ...]
    confidence: float
    relevance: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    pairs: list[ReaderPair]
    batch: PairBatch
    encoded: Encoded
    memory: Memory


class Reader:
    """Answers from passages with one network.

    ``combined`` lets the start/end head propose spans, which decoder and relevance head rescore; ``span`` and
    ``decoder`` answer with one of them alone, to compare.
    """

    def __init__(
        self, model: ReaderModel, config: ReaderConfig, tokenizer: ReaderTokenizer, *, dtype: torch.dtype
    ) -> None:
        self._model, self._tokenizer, self._dtype = model, tokenizer, dtype
        self.config = config
        self._weights = ScoringWeights(**config.scoring)
        if dtype is torch.bfloat16:
            # Only what is multiplied: cast once here rather than at every call.
            for module in model.modules():
                if isinstance(module, nn.Linear | nn.Embedding):
                    module.to(dtype)

    @classmethod
    def load(cls, weights: Path, encoder_folder: Path, *, dtype: torch.dtype) -> "Reader":
        """Load a trained reader.

        Raises:
            ModelError: weights are missing, damaged or of another encoder.
        """
        model, config = load_reader(weights, encoder_folder)
        return cls(model, config, ReaderTokenizer.load(encoder_folder), dtype=dtype)

    @property
    def name(self) -> str:
        """Name and first characters of the weights' SHA-256: two readers that may answer differently differ here."""
        return f"{self.config.name}-{self.config.weights_sha256[:12]}"

    @property
    def dtype(self) -> str:
        """``float32`` or ``bfloat16``: what matrices are multiplied in."""
        return str(self._dtype).removeprefix("torch.")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as this model counts them."""
        return self._tokenizer.count_tokens(texts)

    def read(self, question: str, passages: Sequence[ReaderPassage], *, mode: ReaderMode = "combined") -> Reading:
        """Read all passages at once and answer."""
        if not passages:
            return Reading(answer="", ranges=(), confidence=0.0, relevance=())
        enabled = self._dtype is torch.bfloat16
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            read = self._encode(question, passages)
            relevance = tuple(read.encoded.relevance_P.sigmoid().tolist())
            candidates = find_candidates(self._model, read.encoded, read.batch, read.memory, self._tokenizer)
            written = write_answer(self._model, read.memory, self._tokenizer) if mode == "decoder" else []
        if not candidates:
            return Reading(answer="", ranges=(), confidence=0.0, relevance=relevance)
        weights = ScoringWeights() if mode == "span" else self._weights
        ranked = rank_candidates(candidates, weights)
        best, posterior = ranked[0]
        if mode == "decoder":
            answer, ranges = self._trace(written, read, passages)
        else:
            ranges = [self._range(best.span, read)]
            answer = passages[ranges[0].passage].text[ranges[0].start : ranges[0].end]
        confidence = confidence_of(features_of(best, posterior), self.config.calibration)
        return Reading(answer=answer, ranges=tuple(ranges), confidence=confidence, relevance=relevance)

    def _encode(self, question: str, passages: Sequence[ReaderPassage]) -> _Read:
        pairs = self._tokenizer.pairs(question, [(p.context, p.text) for p in passages])
        batch = self._tokenizer.batch(pairs)
        encoded = self._model.encode(batch)
        memory = self._model.remember(encoded, batch, torch.arange(len(pairs))[None])
        return _Read(pairs, batch, encoded, memory)

    def _range(self, span: Span, read: _Read) -> ReadRange:
        start, end = read.pairs[span.pair].char_span(span.first, span.last)
        return ReadRange(passage=span.pair, start=start, end=end)

    def _trace(
        self, written: Sequence[WrittenToken], read: _Read, passages: Sequence[ReaderPassage]
    ) -> tuple[str, list[ReadRange]]:
        """Join what the decoder put out: runs of neighbouring source tokens as they stand, the rest as vocabulary."""
        pieces: list[str] = []
        ranges: list[ReadRange] = []
        rest = list(written)
        while rest:
            length = 1
            while length < len(rest) and as_span(rest[: length + 1]) is not None:
                length += 1
            span = as_span(rest[:length])
            if span is None:
                pieces.append(self._tokenizer.decode([rest[0].id]))
                rest = rest[1:]
                continue
            found = self._range(span, read)
            ranges.append(found)
            pieces.append(passages[found.passage].text[found.start : found.end])
            rest = rest[length:]
        return " ".join(pieces), ranges
