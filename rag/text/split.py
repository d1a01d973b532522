"""Splitting a document into passages; knows nothing of the tokenizer but how it counts.

Three steps, each linear in the text:

1. ``_measure``: the sentences of each section with their token counts; a sentence that no passage could hold is cut.
2. ``_join``: a bare heading joins what stands below it, small neighbours under one heading join each other.
3. ``_pack``: the sentences of each joined section fill as few passages as will do, of about the same size.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from rag.records import Passage, Section
from rag.text.sentences import sentence_spans

CountTokens = Callable[[Sequence[str]], list[int]]

_SPACE = re.compile(r"\s")
_NON_SPACE = re.compile(r"\S")
# WordPiece counts a word that it does not know as one token however long it is (a base64 blob, say). No natural text
# has so many characters to a token, so a longer piece is taken to have as many tokens as its length suggests.
_MAX_CHARS_PER_TOKEN = 20
# Pieces of an overlong sentence are this many to a passage: small enough to fill passages well.
_PIECES_PER_PASSAGE = 4
# Sections smaller than this share of a passage may join their neighbours.
_SMALL_SHARE = 4


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, or a part of one that is too long for a passage."""

    start: int
    end: int
    num_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """One section, or several joined ones, with its pieces. ``parent`` is the heading path above its sections."""

    section: Section
    parent: tuple[str, ...]
    pieces: list[_Piece]
    num_tokens: int
    is_small: bool
    is_bare_heading: bool


def split_passages(
    text: str, sections: Sequence[Section], *, count_tokens: CountTokens, max_tokens: int
) -> list[Passage]:
    """The passages of a document: in order, apart, trimmed, and together every non-space character of its sections.

    A passage ends at a sentence end and holds at most ``max_tokens``; only a longer sentence is cut, at line ends or
    else between words, and only a longer word is cut between characters. The passages of a section are about equally
    long, so that no crumb is left at its end. No passage crosses sections, with two exceptions, neither of them for
    rows or across pages:

    * a section that is nothing but its own heading goes with the section below it;
    * neighbours smaller than a quarter of ``max_tokens`` under the same parent heading share a passage as far as they
      fit; its headings are those that they have in common.

    Args:
        text: the whole document.
        sections: ascending and apart; what lies outside them is not taken.
        count_tokens: token counts of many strings, without special tokens; taken to be additive over pieces. It is
            called once with all sentences, and a few times more with the parts of overlong ones, if there are any.
        max_tokens: the most tokens in a passage.

    Raises:
        ValueError: ``max_tokens`` is not positive.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be positive, not {max_tokens}.")
    passages: list[Passage] = []
    for stretch in _join(_measure(text, sections, count_tokens, max_tokens), max_tokens):
        section = stretch.section
        for start, end, num_tokens in _pack(stretch.pieces, stretch.num_tokens, max_tokens):
            passages.append(
                Passage(
                    ordinal=len(passages),
                    start=start,
                    end=end,
                    text=text[start:end],
                    num_tokens=num_tokens,
                    headings=section.headings,
                    page=section.page,
                    row=section.row,
                )
            )
    return passages


def _measure(text: str, sections: Sequence[Section], count_tokens: CountTokens, max_tokens: int) -> Iterator[_Stretch]:
    sentences = [
        (section.start + start, section.start + end)
        for section in sections
        for start, end in sentence_spans(text[section.start : section.end])
    ]
    pieces = _cut_overlong(text, _count(text, sentences, count_tokens), count_tokens, max_tokens)
    first = 0
    for section in sections:
        last = first
        while last < len(pieces) and pieces[last].end <= section.end:
            last += 1
        if first == last:
            continue
        num_tokens = sum(piece.num_tokens for piece in pieces[first:last])
        yield _Stretch(
            section=section,
            parent=section.headings[:-1],
            pieces=pieces[first:last],
            num_tokens=num_tokens,
            is_small=num_tokens * _SMALL_SHARE < max_tokens,
            is_bare_heading=text[pieces[first].start : pieces[last - 1].end] in section.headings[-1:],
        )
        first = last


def _count(text: str, spans: list[tuple[int, int]], count_tokens: CountTokens) -> list[_Piece]:
    if not spans:
        return []
    counts = count_tokens([text[start:end] for start, end in spans])
    return [
        _Piece(start, end, max(1, count, (end - start) // _MAX_CHARS_PER_TOKEN))
        for (start, end), count in zip(spans, counts, strict=True)
    ]


def _cut_overlong(text: str, pieces: list[_Piece], count_tokens: CountTokens, max_tokens: int) -> list[_Piece]:
    """Cut what is too long, count the parts, and again, until all fit; one or two rounds unless the text is odd."""
    while True:
        parts = {piece.start: _cut(text, piece, max_tokens) for piece in pieces if piece.num_tokens > max_tokens}
        if all(len(spans) == 1 for spans in parts.values()):
            return pieces
        counted = {piece.start: piece for piece in _count(text, list(chain(*parts.values())), count_tokens)}
        pieces = [
            counted[start] if piece.start in parts else piece
            for piece in pieces
            for start, _ in parts.get(piece.start, [(piece.start, piece.end)])
        ]


def _cut(text: str, piece: _Piece, max_tokens: int) -> list[tuple[int, int]]:
    num_parts = -(-piece.num_tokens * _PIECES_PER_PASSAGE // max_tokens)
    length = -(-(piece.end - piece.start) // num_parts)
    if not _SPACE.search(text, piece.start, piece.end):
        return [(start, min(start + length, piece.end)) for start in range(piece.start, piece.end, length)]
    spans = []
    start = piece.start
    while True:
        border = _border(text, start, start + length, piece.end)
        spans.append((start, border))
        following = _NON_SPACE.search(text, border, piece.end)
        if not following:
            return spans
        start = following.start()


def _border(text: str, start: int, ideal: int, end: int) -> int:
    """Where to end a part that should end at ``ideal``: a line end not far before it, else the nearest white space."""
    if ideal >= end:
        return end
    border = text.rfind("\n", (start + ideal) // 2 + 1, ideal + 1)
    if border < 0:
        border = next((i for i in range(ideal, start, -1) if text[i].isspace()), -1)
    if border < 0:
        following = _SPACE.search(text, ideal, end)
        return following.start() if following else end
    while text[border - 1].isspace():
        border -= 1
    return border


def _join(stretches: Iterator[_Stretch], max_tokens: int) -> Iterator[_Stretch]:
    previous: _Stretch | None = None
    for stretch in stretches:
        headings = _shared_headings(previous, stretch, max_tokens) if previous else None
        if previous and headings is not None:
            previous = replace(
                stretch,
                section=replace(stretch.section, start=previous.section.start, headings=headings),
                pieces=previous.pieces + stretch.pieces,
                num_tokens=previous.num_tokens + stretch.num_tokens,
            )
        else:
            if previous:
                yield previous
            previous = stretch
    if previous:
        yield previous


def _shared_headings(previous: _Stretch, following: _Stretch, max_tokens: int) -> tuple[str, ...] | None:
    """The headings of the two stretches if they may be joined, else None."""
    first, second = previous.section, following.section
    if first.row is not None or second.row is not None or first.page != second.page:
        return None
    if previous.is_bare_heading and second.headings[:-1] == first.headings:
        return second.headings
    # A bare heading waits for what stands below it.
    is_last_small = following.is_small and not following.is_bare_heading
    are_small_neighbours = previous.is_small and is_last_small and previous.parent == following.parent
    if are_small_neighbours and previous.num_tokens + following.num_tokens <= max_tokens:
        return _common_prefix(first.headings, second.headings)
    return None


def _common_prefix(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    num_equal = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    return first[:num_equal] if num_equal is not None else min(first, second, key=len)


def _pack(pieces: list[_Piece], num_tokens: int, max_tokens: int) -> Iterator[tuple[int, int, int]]:
    """Ranges with their token counts. Each aims at an equal share of what is left, and never passes ``max_tokens``."""
    start, end, filled = pieces[0].start, pieces[0].end, pieces[0].num_tokens
    target = _equal_share(num_tokens, max_tokens)
    for piece in pieces[1:]:
        overshoots = filled + piece.num_tokens / 2 > target
        if overshoots or filled + piece.num_tokens > max_tokens:
            yield start, end, filled
            num_tokens -= filled
            target = _equal_share(num_tokens, max_tokens)
            start, filled = piece.start, 0
        end = piece.end
        filled += piece.num_tokens
    yield start, end, filled


def _equal_share(num_tokens: int, max_tokens: int) -> float:
    return num_tokens / max(1, -(-num_tokens // max_tokens))
