"""The marks ``[n]`` of a model's reply: taken out to see what it claims, put back to say where each claim stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.text.sentences import sentence_spans
from rag.text.words import FUNCTION_WORDS, split_words

_MARK = re.compile(r"\[(\d{1,4}(?:[ ]{0,2}[,;][ ]{0,2}\d{1,4}){0,15})\]", re.ASCII)

_LIST_NUMBER = re.compile(r"\(?\d{1,3}[.)][ \t]+(?=\S)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """The characters ``start:end`` of a text without marks, and the passages (from 1) that its marks name.

    ``mark_at`` is where in that text a mark for it belongs.
    """

    start: int
    end: int
    marks: tuple[int, ...]
    mark_at: int


@dataclass(frozen=True, slots=True)
class _Mark:
    at: int
    numbers: tuple[int, ...]


def split_claims(reply: str) -> tuple[str, list[Claim]]:
    """The reply without its marks, and what it claims: together every sentence, in order and apart.

    A claim is a sentence, or the part of one up to a mark: "Founded in Lisbon [1] in 1987 [2]." makes two. In
    "According to [1], it was founded in 1987." the mark comes first, and its claim reaches to the next mark.
    """
    text, marks = _take_out(reply)
    claims = []
    spans = sentence_spans(text)
    for number, (start, end) in enumerate(spans, start=1):
        # One after a full stop belongs to what ended there, one at the start of a line to what follows.
        own = [mark for mark in marks if mark.at <= end or number == len(spans)]
        marks = marks[len(own) :]
        number_in_list = _LIST_NUMBER.match(text, start, end)
        claims.extend(_claims_of(text, number_in_list.end() if number_in_list else start, end, own))
    return text, claims


def _take_out(reply: str) -> tuple[str, list[_Mark]]:
    marks: list[_Mark] = []
    text, at = "", 0
    for match in _MARK.finditer(reply):
        text = (text + reply[at : match.start()]).rstrip(" \t")
        numbers = tuple(int(number) for number in re.findall(r"\d+", match[1]))
        if marks and marks[-1].at == len(text):
            marks[-1] = _Mark(len(text), marks[-1].numbers + numbers)
        else:
            marks.append(_Mark(len(text), numbers))
        at = match.end()
        if not text or text.endswith("\n"):  # a mark that opened a line leaves no space behind
            at += len(reply) - at - len(reply[at:].lstrip(" \t"))
    return (text + reply[at:]).rstrip(), marks


def _claims_of(text: str, start: int, end: int, marks: Sequence[_Mark]) -> list[Claim]:
    if not marks:
        return [Claim(start, end, (), _before_stop(text, start, end))]
    places = [min(max(mark.at, start), end) for mark in marks]
    marks_come_first = all(word.exact in FUNCTION_WORDS for word in split_words(text, start, places[0]))
    edges = [start, *(places[1:] if marks_come_first else places[:-1]), end]
    return [
        Claim(
            _after_space(text, opening, closing),
            closing,
            tuple(dict.fromkeys(mark.numbers)),
            place if place > start else _before_stop(text, opening, closing),
        )
        for opening, closing, mark, place in zip(edges[:-1], edges[1:], marks, places, strict=True)
    ]


def _after_space(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def _before_stop(text: str, start: int, end: int) -> int:
    """After the last word of a sentence, in front of its full stop."""
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return end
