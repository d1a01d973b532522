"""The reader as the rest of the software sees it: a question and passages in, a reading with exact ranges out."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from rag.cancellation import NEVER, Cancellation
from rag.reader.checkpoint import ReaderConfig, load_reader
from rag.reader.choosing import ScoringWeights, choose
from rag.reader.confidence import probabilities_of, probability_of, relevance_of
from rag.reader.decode import (
    ReadPairs,
    Span,
    WrittenToken,
    behind_best,
    find_candidates,
    read_pairs,
    runs,
    write_answer,
)
from rag.reader.evidence import evidence_of
from rag.reader.explanation import ReaderExplanation, tokens_of
from rag.reader.explanation import explain as explain_tokens
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.reader.row_values import answers_of_rows
from rag.reader.supporting_sentences import supporting_sentences, wants_sentences

ReaderMode = Literal["combined", "span", "decoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderPassage:
    """What the reader reads.

    ``context`` is the line of title and headings, see ``rag.text.context``; ``search_score`` what the search found
    the passage with, the higher the better, None where it was not searched for.
    """

    context: str
    text: str
    search_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRange:
    """Characters ``start:end`` of the text of ``passages[passage]``, copied to ``answer_start`` of the answer."""

    passage: int
    start: int
    end: int
    answer_start: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the reader makes of a question.

    answer: readable text; empty if no passage has any.
    ranges: where each copied piece of it stands, in order; characters of the answer in none of them were written.
    answerability: calibrated probability that the passages hold an answer, 0 to 1.
    confidence: calibrated probability that this is a right one, 0 to 1 and never above the answerability.
    relevance: for each passage, the probability that it holds an answer, 0 to 1.
    faithfulness: the probability that the passage an answer was copied from supports it as the answer to the question,
        whatever other passages say, 0 to 1; None where the reader was not fitted for that, or answers nothing.
    """

    answer: str
    ranges: tuple[ReadRange, ...]
    answerability: float
    confidence: float
    relevance: tuple[float, ...]
    explanation: ReaderExplanation | None = None
    faithfulness: float | None = None


class Reader:
    """Answers from passages with one network.

    ``combined`` lets the start/end head propose spans, which decoder, relevance head and search rescore; ``span`` and
    ``decoder`` answer with one part alone, to compare.
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
    def calibration_sha256(self) -> str:
        """SHA-256 of what was fitted to the weights: they answer otherwise when they are calibrated anew."""
        config = self.config
        fitted = [
            config.scoring,
            config.answerable,
            config.right,
            config.relevance,
            config.abstain_below,
            config.faithful,
        ]
        return hashlib.sha256(json.dumps(fitted, sort_keys=True).encode()).hexdigest()

    @property
    def dtype(self) -> str:
        """``float32`` or ``bfloat16``: what matrices are multiplied in."""
        return str(self._dtype).removeprefix("torch.")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as this model counts them."""
        return self._tokenizer.count_tokens(texts)

    def relevance(self, question: str, passages: Sequence[ReaderPassage]) -> tuple[float, ...]:
        """The probability of each passage holding an answer, 0 to 1, as ``read`` gives it, without answering."""
        if not passages:
            return ()
        with self._inference():
            pairs = self._tokenizer.pairs(question, [(p.context, p.text) for p in passages])
            logits = self._model.encode(self._tokenizer.batch(pairs)).relevance_P.tolist()
        behind = behind_best([p.search_score for p in passages])
        return tuple(relevance_of(logits, behind, self.config.relevance))

    @contextmanager
    def _inference(self) -> Iterator[None]:
        enabled = self._dtype is torch.bfloat16
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            yield

    def read(
        self,
        question: str,
        passages: Sequence[ReaderPassage],
        *,
        mode: ReaderMode = "combined",
        explain: bool = False,
        cancellation: Cancellation = NEVER,
    ) -> Reading:
        """Read all passages at once and answer; ``explain`` also tells where each token of the answer comes from.

        Raises:
            Cancelled: the answer is not wanted any more; looked at between reading the passages and finding it.
        """
        if not passages:
            return Reading(answer="", ranges=(), answerability=0.0, confidence=0.0, relevance=())
        with self._inference():
            pairs = self._tokenizer.pairs(question, [(p.context, p.text) for p in passages])
            texts, search_scores = [p.text for p in passages], [p.search_score for p in passages]
            read = read_pairs(self._model, self._tokenizer, pairs, texts, search_scores)
            cancellation.check()
            logits = read.encoded.relevance_P.tolist()
            relevance = tuple(relevance_of(logits, read.search_scores, self.config.relevance))
            candidates = answers_of_rows(question, find_candidates(self._model, read, self._tokenizer), read)
            if not candidates:
                return Reading(answer="", ranges=(), answerability=0.0, confidence=0.0, relevance=relevance)
            choice = choose(candidates, self._weights)
            if mode == "decoder":
                tokens = write_answer(self._model, read.memory, self._tokenizer)
                copied = _copied_spans(tokens)
            else:
                candidate = candidates[0] if mode == "span" else choice.candidate
                tokens = tokens_of(_grow(candidate.span, question, read), read.memory)
                copied = [(candidate.span, candidate.decoder_score)]
            explanation = (
                explain_tokens(self._model, read.memory, tokens, read.pairs, read.texts, self._tokenizer)
                if explain and tokens
                else None
            )
        answer, ranges = self._trace(tokens, read)
        answerability, confidence = probabilities_of(choice, self.config.answerable, self.config.right)
        return Reading(
            answer=answer,
            ranges=tuple(ranges),
            answerability=answerability,
            confidence=confidence,
            relevance=relevance,
            explanation=explanation,
            faithfulness=self._faithfulness(question, [p.context for p in passages], copied, read),
        )

    def _faithfulness(
        self, question: str, contexts: Sequence[str], copied: Sequence[tuple[Span, float]], read: ReadPairs
    ) -> float | None:
        """That of the part of an answer that is supported least; ``copied`` are its spans with the decoder's scores."""
        weights = self.config.faithful
        if not weights or not copied:
            return None
        return min(
            probability_of(evidence_of(question, contexts[span.pair], span, score, read), weights)
            for span, score in copied
        )

    def _trace(self, tokens: Sequence[WrittenToken], read: ReadPairs) -> tuple[str, list[ReadRange]]:
        """The answer's text: what was copied as it stands in its passage, the rest from the vocabulary."""
        answer, ranges = "", []
        for run in runs(tokens):
            if isinstance(run, WrittenToken):
                piece, continues = self._tokenizer.piece(run.id)
                answer += piece if continues or not answer else f" {piece}"
                continue
            pair = read.pairs[run.pair]
            start, end = pair.char_span(run.first, run.last)
            if answer and pair.word_starts[run.first - pair.passage_start]:
                answer += " "
            ranges.append(ReadRange(passage=run.pair, start=start, end=end, answer_start=len(answer)))
            answer += read.texts[run.pair][start:end]
        return answer, ranges


def _copied_spans(tokens: Sequence[WrittenToken]) -> list[tuple[Span, float]]:
    """The spans that an answer was copied from, each with the sum of its tokens' log-probabilities."""
    scores = {token.source: token.score for token in tokens if token.source is not None}
    return [
        (span, sum(scores[span.pair, place] for place in range(span.first, span.last + 1)))
        for span in runs(tokens)
        if isinstance(span, Span)
    ]


def _grow(span: Span, question: str, read: ReadPairs) -> Span:
    """The span, or the sentences it stands in where the question asks for an explanation."""
    pair, text = read.pairs[span.pair], read.texts[span.pair]
    start, end = pair.char_span(span.first, span.last)
    if not wants_sentences(question, text[start:end]):
        return span
    # What was cut off to fit the model's length cannot be grown into.
    tokens = pair.token_span(*supporting_sentences(text, start, min(end, pair.offsets[-1][1])))
    return span if tokens is None else Span(span.pair, *tokens)
