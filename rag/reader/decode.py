"""Finding the answer in one question's encoded pairs, as a ladder of small functions: propose, rescore, write.

Shapes as in ``rag.reader.model``, with Q = 1 question unless said; N candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rag.reader.input_format import PairBatch, ReaderPair, ReaderTokenizer
from rag.reader.model import NEGATIVE, Encoded, Memory, ReaderModel
from rag.text.normalize_answer import normalize_answer
from rag.transformer.attention import KeyValue

NUM_CANDIDATES = 8
MAX_ANSWER_TOKENS = 31


@dataclass(frozen=True, slots=True)
class Span:
    """Token positions ``first`` to ``last`` (both in) of one pair."""

    pair: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A span that may be the answer. The span's, the decoder's and the relevance score are log-probabilities.

    words: its normalised words, by which two candidates are compared.
    span_score: start and end under the start/end head, normalised over all positions of all pairs.
    decoder_score: the decoder writing just this span's tokens and stopping.
    relevance_score: the span's passage holding an answer at all.
    search_score: that of its passage, see ``ReadPairs``.
    margin: how many nats the start/end head prefers the span to "no answer in this passage".
    """

    span: Span
    words: tuple[str, ...]
    span_score: float
    decoder_score: float
    relevance_score: float
    search_score: float
    margin: float


@dataclass(frozen=True, slots=True)
class ReadPairs:
    """The pairs of one question after reading: everything that an answer is found in.

    ``search_scores`` holds how far the search ranks each passage behind the best of them: 0 for that one, below 0 for
    the others, all 0 where there was no search.
    """

    pairs: Sequence[ReaderPair]
    texts: Sequence[str]
    search_scores: Sequence[float]
    batch: PairBatch
    encoded: Encoded
    memory: Memory


def read_pairs(
    model: ReaderModel,
    tokenizer: ReaderTokenizer,
    pairs: Sequence[ReaderPair],
    texts: Sequence[str],
    search_scores: Sequence[float | None],
) -> ReadPairs:
    """Encode the pairs of one question, whose passages have these texts and were found with these scores."""
    batch = tokenizer.batch(pairs)
    encoded = model.encode(batch)
    memory = model.remember(encoded, batch, torch.arange(len(pairs))[None])
    return ReadPairs(pairs, texts, behind_best(search_scores), batch, encoded, memory)


def behind_best(search_scores: Sequence[float | None]) -> list[float]:
    """How far each score lies behind the best one: 0 for that, below 0 for the others, 0 where there is none."""
    best = max((score for score in search_scores if score is not None), default=0.0)
    return [0.0 if score is None else score - best for score in search_scores]


@dataclass(frozen=True, slots=True)
class WrittenToken:
    """A token that the decoder put out: where it was copied from (None: written from the vocabulary), and log P."""

    id: int
    source: tuple[int, int] | None
    score: float


def word_end_mask(batch: PairBatch) -> Tensor:
    """(P, L): true at passage tokens that end a word."""
    continues = F.pad(batch.copyable_PL & ~batch.word_start_PL, (0, 1))[:, 1:]
    return batch.copyable_PL & ~continues


def propose_spans(
    encoded: Encoded, batch: PairBatch, *, num: int = NUM_CANDIDATES, max_tokens: int = MAX_ANSWER_TOKENS
) -> list[tuple[Span, float]]:
    """The ``num`` likeliest spans of whole words, none across a blank line, with their log-probability, best first."""
    P, L = encoded.start_PL.shape
    start_PL = encoded.start_PL.flatten().log_softmax(0).view(P, L)
    end_PL = encoded.end_PL.flatten().log_softmax(0).view(P, L)
    start_PL = start_PL.masked_fill(~(batch.copyable_PL & batch.word_start_PL), NEGATIVE)
    end_PL = end_PL.masked_fill(~word_end_mask(batch), NEGATIVE)
    # A band of the (start, end) plane: W ends for each start.
    W = min(max_tokens, L)
    ends_PLW = F.pad(end_PL, (0, W - 1), value=NEGATIVE).unfold(1, W, 1)
    blocks_PLW = F.pad(batch.block_PL, (0, W - 1), value=-1).unfold(1, W, 1)
    scores_PLW = start_PL[..., None] + ends_PLW.masked_fill(blocks_PLW != batch.block_PL[..., None], NEGATIVE)
    best = scores_PLW.flatten().topk(min(num, scores_PLW.numel()))
    proposed = []
    for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        if score > NEGATIVE / 2:
            pair, inside = divmod(place, L * W)
            first, width = divmod(inside, W)
            proposed.append((Span(pair, first, first + width), score))
    return proposed


def score_spans(model: ReaderModel, memory: Memory, spans: Sequence[Span], tokenizer: ReaderTokenizer) -> list[float]:
    """log P of the decoder writing each span and then stopping."""
    if not spans:
        return []
    L = memory.ids_QS.shape[1] // memory.num_pairs
    lengths = [span.last - span.first + 1 for span in spans]
    N, T = len(spans), -(-(max(lengths) + 1) // 8) * 8
    input_NT = torch.full((N, T), tokenizer.pad_id)
    copied_from_NT, target_NT = torch.full((N, T), -1), torch.full((N, T), -1)
    input_NT[:, 0] = tokenizer.begin_id
    for row, (span, length) in enumerate(zip(spans, lengths, strict=True)):
        positions = torch.arange(span.first, span.last + 1) + span.pair * L
        ids = memory.ids_QS[0, positions]
        input_NT[row, 1 : length + 1], copied_from_NT[row, 1 : length + 1] = ids, positions
        target_NT[row, :length], target_NT[row, length] = ids, tokenizer.end_id
    scores, _ = model.score_targets(input_NT, copied_from_NT, _repeat(memory, N), target_NT)
    rows = (target_NT >= 0).nonzero()[:, 0]
    totals: list[float] = torch.zeros(N).index_add_(0, rows, scores).tolist()
    return totals


def write_answer(
    model: ReaderModel, memory: Memory, tokenizer: ReaderTokenizer, *, max_tokens: int = MAX_ANSWER_TOKENS
) -> list[WrittenToken]:
    """Greedy decoding with a key/value cache: at each step the likelier of copying and writing."""
    L = memory.ids_QS.shape[1] // memory.num_pairs
    written: list[WrittenToken] = []
    token, place = tokenizer.begin_id, -1
    past: list[KeyValue] | None = None
    for step in range(max_tokens):
        scores, past = model.step(torch.tensor([[token]]), torch.tensor([[place]]), memory, past=past, num_past=step)
        copy_score, copy_place = (float(x) for x in scores.copy_QTS[0, 0].max(dim=0))
        write_score, write_id = (float(x) for x in scores.write_QTV[0, 0].max(dim=0))
        if copy_score >= write_score:
            place = int(copy_place)
            token = int(memory.ids_QS[0, place])
            written.append(WrittenToken(token, divmod(place, L), copy_score))
        else:
            place, token = -1, int(write_id)
            if token == tokenizer.end_id:
                break
            written.append(WrittenToken(token, None, write_score))
    return written


def runs(written: Sequence[WrittenToken]) -> Iterator[Span | WrittenToken]:
    """Tokens copied from neighbouring places as one span, each written token by itself, in order."""
    span: Span | None = None
    for token in written:
        if token.source is None:
            if span is not None:
                yield span
            span = None
            yield token
            continue
        pair, place = token.source
        if span is not None and (span.pair, span.last + 1) == (pair, place):
            span = Span(pair, span.first, place)
            continue
        if span is not None:
            yield span
        span = Span(pair, place, place)
    if span is not None:
        yield span


def find_candidates(model: ReaderModel, read: ReadPairs, tokenizer: ReaderTokenizer) -> list[Candidate]:
    """The spans that the start/end head proposes, best first, each also judged by the decoder."""
    encoded = read.encoded
    proposed = propose_spans(encoded, read.batch)
    decoder_scores = score_spans(model, read.memory, [span for span, _ in proposed], tokenizer)
    relevance_P = F.logsigmoid(encoded.relevance_P).tolist()
    null_P = (encoded.start_null_P + encoded.end_null_P).tolist()
    return [
        Candidate(
            span=span,
            words=tuple(normalize_answer(text_of(span, read)).split()),
            span_score=score,
            decoder_score=decoder_score,
            relevance_score=relevance_P[span.pair],
            search_score=read.search_scores[span.pair],
            margin=float(encoded.start_PL[span.pair, span.first] + encoded.end_PL[span.pair, span.last])
            - null_P[span.pair],
        )
        for (span, score), decoder_score in zip(proposed, decoder_scores, strict=True)
    ]


def text_of(span: Span, read: ReadPairs) -> str:
    """The characters of a span."""
    start, end = read.pairs[span.pair].char_span(span.first, span.last)
    return read.texts[span.pair][start:end]


def _repeat(memory: Memory, num: int) -> Memory:
    """The same memory for ``num`` questions, without copying it."""
    return Memory(
        layers=[
            KeyValue(layer.key_BHSK.expand(num, -1, -1, -1), layer.value_BHSK.expand(num, -1, -1, -1))
            for layer in memory.layers
        ],
        pointer_QSD=memory.pointer_QSD.expand(num, -1, -1),
        valid_QS=memory.valid_QS.expand(num, -1),
        copyable_QS=memory.copyable_QS.expand(num, -1),
        ids_QS=memory.ids_QS.expand(num, -1),
        start_QS=memory.start_QS.expand(num, -1),
        end_QS=memory.end_QS.expand(num, -1),
        num_pairs=memory.num_pairs,
    )
