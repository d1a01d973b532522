"""Answers out of rows of tables, which are lines of ``name: value; name: value`` (``rag.ingest.readers.tables``).

The reader has learned from prose. In a row it often points at the name of the column that is asked for, or takes the
name along, or takes the value by which the question names the row. So a span that touches a name is moved to the value
behind it, with its scores: that is what it points at. And a value that stands in the question is not the answer to it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rag.reader.decode import Candidate, ReadPairs, Span, text_of
from rag.text.normalize_answer import normalize_answer

_NAME = re.compile(r"(?:^|(?<=; ))[^:;]{1,60}: (?=\S)")
_CHOICE = re.compile(r"\bor\b", re.I)


class Field(NamedTuple):
    """A part of a row: where its name starts, and its value as ``start:end``, in characters of the text."""

    name_start: int
    value_start: int
    value_end: int


def row_fields(text: str, at: int) -> list[Field]:
    """The named parts of the line around the character ``at``; none where the line is not a row, with two or more.

    Nor where a name opens a bracket that it leaves open, as prose does: "The Normans (Norman: Nourmands; French: ...)".
    """
    line_start = text.rfind("\n", 0, at) + 1
    line = text[line_start:].partition("\n")[0]
    names = list(_NAME.finditer(line))
    if len(names) < 2 or names[0].start() != 0 or any(name[0].count("(") != name[0].count(")") for name in names):
        return []
    value_ends = [name.start() - len("; ") for name in names[1:]] + [len(line)]
    return [
        Field(line_start + name.start(), line_start + name.end(), line_start + end)
        for name, end in zip(names, value_ends, strict=True)
    ]


def in_values(text: str, start: int, end: int) -> tuple[int, int]:
    """The characters ``start:end`` as they are, or, in a row, without the names that they begin or end in.

    Nothing but a name becomes the value behind it.
    """
    fields = row_fields(text, start)
    if not fields or end > fields[-1].value_end:
        return start, end
    first = max(i for i, field in enumerate(fields) if field.name_start <= start)
    last = max(i for i, field in enumerate(fields) if field.name_start < end)
    if end <= fields[last].value_start:
        end = fields[max(first, last - 1)].value_end
    return max(start, fields[first].value_start), end


def answers_of_rows(question: str, candidates: Sequence[Candidate], read: ReadPairs) -> list[Candidate]:
    """The candidates with those in rows moved to values, less those that the question names; never none of some."""
    moved = [_moved(candidate, read) for candidate in candidates]
    if _CHOICE.search(question):
        return moved
    asked = set(normalize_answer(question).split())
    return [candidate for candidate in moved if not _is_named(candidate, asked, read)] or moved


def _moved(candidate: Candidate, read: ReadPairs) -> Candidate:
    span = candidate.span
    pair, text = read.pairs[span.pair], read.texts[span.pair]
    chars = pair.char_span(span.first, span.last)
    if (values := in_values(text, *chars)) == chars:
        return candidate
    tokens = pair.token_span(*values)
    if tokens is None:  # cut off to fit the model's length
        return candidate
    there = Span(span.pair, *tokens)
    return replace(candidate, span=there, words=tuple(normalize_answer(text_of(there, read)).split()))


def _is_named(candidate: Candidate, asked: set[str], read: ReadPairs) -> bool:
    """Whether the candidate is in a row and the question has its words. Numbers may well be equal by chance."""
    words, span = candidate.words, candidate.span
    if not words or not asked.issuperset(words) or all(word.isdigit() for word in words):
        return False
    start, _ = read.pairs[span.pair].char_span(span.first, span.last)
    return bool(row_fields(read.texts[span.pair], start))
