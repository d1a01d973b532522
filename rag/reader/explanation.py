"""Why an answer says what it says: for each of its tokens, where the decoder would take it from.

The decoder is run once more over the finished answer, each token given those before it (teacher forcing). What it
gives is its own view of the answer, also where the start/end head proposed it. Shapes as in ``rag.reader.model``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rag.reader.decode import Span, WrittenToken
from rag.reader.input_format import ReaderPair, ReaderTokenizer
from rag.reader.model import Memory, ReaderModel

LEAST_HEAT = 0.005
"""Source tokens with less than this are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOrigin:
    """One token of the answer.

    start, end: the characters of ``passages[passage]`` it stands at; None where the decoder wrote it.
    probability: the decoder putting this token here, from any place, given the answer before it.
    copied: the part of that which comes from copying it from just there.
    written: the probability that the decoder would write at this point instead of copying.
    passage_weights: the probability of copying something from each passage; with ``written`` they add up to 1.
    """

    text: str
    passage: int | None
    start: int | None
    end: int | None
    probability: float
    copied: float
    written: float
    passage_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHeat:
    """How often the decoder would copy the characters ``start:end`` of a passage, over the whole answer."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderExplanation:
    """The origin of each token, and for each passage where the decoder looked."""

    tokens: tuple[TokenOrigin, ...]
    heat: tuple[tuple[SourceHeat, ...], ...]


def tokens_of(span: Span, memory: Memory) -> list[WrittenToken]:
    """The tokens of a span, as if the decoder had copied each."""
    L = memory.ids_QS.shape[1] // memory.num_pairs
    return [
        WrittenToken(int(memory.ids_QS[0, span.pair * L + place]), (span.pair, place), 0.0)
        for place in range(span.first, span.last + 1)
    ]


def explain(
    model: ReaderModel,
    memory: Memory,
    answer: Sequence[WrittenToken],
    pairs: Sequence[ReaderPair],
    texts: Sequence[str],
    tokenizer: ReaderTokenizer,
) -> ReaderExplanation:
    """Explain an answer; ``texts`` are those of the passages in ``pairs``."""
    L = memory.ids_QS.shape[1] // memory.num_pairs
    places = [-1 if token.source is None else token.source[0] * L + token.source[1] for token in answer]
    ids = [token.id for token in answer]
    scores, _ = model.step(torch.tensor([[tokenizer.begin_id, *ids[:-1]]]), torch.tensor([[-1, *places[:-1]]]), memory)
    copy_TS, write_TV = scores.copy_QTS[0].exp(), scores.write_QTV[0].exp()
    written_T = write_TV.sum(dim=-1).tolist()
    weights_TG = copy_TS.view(len(ids), memory.num_pairs, L).sum(dim=-1).tolist()
    tokens = []
    for step, (token, place) in enumerate(zip(answer, places, strict=True)):
        from_anywhere = float(copy_TS[step, memory.ids_QS[0] == token.id].sum() + write_TV[step, token.id])
        passage, start, end = _place(token, pairs)
        tokens.append(
            TokenOrigin(
                text=tokenizer.piece(token.id)[0] if passage is None else texts[passage][start:end],
                passage=passage,
                start=start,
                end=end,
                probability=min(1.0, from_anywhere),
                copied=float(copy_TS[step, place]) if place >= 0 else 0.0,
                written=written_T[step],
                passage_weights=tuple(weights_TG[step]),
            )
        )
    return ReaderExplanation(tokens=tuple(tokens), heat=tuple(_heat(copy_TS.sum(dim=0).view(-1, L), pairs)))


def _place(token: WrittenToken, pairs: Sequence[ReaderPair]) -> tuple[int | None, int | None, int | None]:
    if token.source is None:
        return None, None, None
    pair, place = token.source
    return (pair, *pairs[pair].char_span(place, place))


def _heat(copied_GL: Tensor, pairs: Sequence[ReaderPair]) -> list[tuple[SourceHeat, ...]]:
    found = []
    for pair, copied_L in zip(pairs, copied_GL.tolist(), strict=True):
        weights = zip(pair.offsets, copied_L[pair.passage_start :], strict=False)
        found.append(
            tuple(
                SourceHeat(start=start, end=end, weight=weight)
                for (start, end), weight in weights
                if weight >= LEAST_HEAT
            )
        )
    return found
