"""Checking a model's reply against its passages: what they support is cited, what they do not is flagged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.generators.citing import cite, fill_spans
from rag.generators.copies import find_copies
from rag.generators.marks import Claim, split_claims
from rag.generators.prompt import REFUSAL
from rag.generators.support import Range, find_support, read_claim, read_source
from rag.records import AnswerSpan, Citation, Hit
from rag.text.context import context_line
from rag.text.words import FUNCTION_WORDS, split_words

GROUNDING_VERSION = "1"
"""Raised whenever the same reply over the same passages would be judged otherwise; logged with every answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """A reply with its citations.

    answer: the reply, its marks ``[n]`` replaced by those of the citations (from 1); empty if it declines to answer.
    spans: where every character of the answer comes from.
    unsupported: the ranges of the answer that no passage supports.
    support: the share of its content words that stand in supported claims, 0 to 1.
    removed_marks: passages that it named although they are not there, or do not say so.
    declined: whether it said that the passages do not answer the question.
    """

    answer: str
    citations: tuple[Citation, ...] = ()
    spans: tuple[AnswerSpan, ...] = ()
    unsupported: tuple[Range, ...] = ()
    support: float = 0.0
    removed_marks: tuple[int, ...] = ()
    declined: bool = False


def ground(reply: str, question: str, hits: Sequence[Hit]) -> Grounded:
    """Check every claim of a reply against the passages that its marks name.

    A claim with marks is supported only by the passages that they name: a wrong mark is a wrong claim. A claim
    without any is looked for in all passages. Marks that prove nothing are removed.
    """
    text, claims = split_claims(reply.strip())
    if any(_is_refusal(text[claim.start : claim.end]) for claim in claims):
        return Grounded(answer="", declined=True)
    checker = _Checker(question, hits)
    verdicts = [checker.check(text, claim) for claim in claims]
    return _write(text, verdicts, hits)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of a claim: ``found`` are passages (from 0) with the ranges of their text that support it."""

    claim: Claim
    num_words: int
    found: list[tuple[int, Range]]
    removed: list[int]


class _Checker:
    def __init__(self, question: str, hits: Sequence[Hit]) -> None:
        contexts = [context_line(hit.title, hit.headings) for hit in hits]
        self._sources = [read_source(hit.text, context=line) for hit, line in zip(hits, contexts, strict=True)]
        asked = split_words(question)
        self._question = frozenset(word.key for word in asked if word.exact not in FUNCTION_WORDS)
        everything = (word for words in (asked, *(source.words for source in self._sources)) for word in words)
        self._ordinary = frozenset(word.key for word in everything if not word.has_capital)

    def check(self, text: str, claim: Claim) -> _Verdict:
        words = text[claim.start : claim.end]
        taken_apart = read_claim(words, ordinary=self._ordinary)
        found: list[tuple[int, Range]] = []
        removed = []
        for number in claim.marks or range(1, len(self._sources) + 1):
            ranges: Sequence[Range] = ()
            if 1 <= number <= len(self._sources):
                ranges = find_support(taken_apart, self._sources[number - 1], question=self._question)
            found.extend((number - 1, found_range) for found_range in ranges)
            if not claim.marks and found:
                break
            if claim.marks and not ranges:
                removed.append(number)
        return _Verdict(claim, len(taken_apart.content), found, removed)


def _write(text: str, verdicts: Sequence[_Verdict], hits: Sequence[Hit]) -> Grounded:
    """The answer: the text with a mark for each citation, and everything about it in the answer's own offsets."""
    keys = list(dict.fromkeys(found for verdict in verdicts for found in verdict.found))
    number_of = {key: number for number, key in enumerate(keys)}
    marks: dict[int, str] = {}
    for verdict in verdicts:
        numbers = dict.fromkeys(number_of[found] for found in verdict.found)
        if numbers:
            place = verdict.claim.mark_at
            marks[place] = marks.get(place, " ") + "".join(f"[{number + 1}]" for number in numbers)
    shift = _Shift(marks)
    copied: list[AnswerSpan] = []
    for verdict in verdicts:
        copied.extend(_copied(text, verdict, hits, number_of, shift))
    answer = shift.insert(text)
    num_words = sum(verdict.num_words for verdict in verdicts)
    return Grounded(
        answer=answer,
        citations=tuple(cite(hits[passage], *found_range) for passage, found_range in keys),
        spans=fill_spans(copied, len(answer)),
        unsupported=tuple(
            (shift.start(verdict.claim.start), shift.end(verdict.claim.end))
            for verdict in verdicts
            if verdict.num_words and not verdict.found
        ),
        support=sum(verdict.num_words for verdict in verdicts if verdict.found) / num_words if num_words else 0.0,
        removed_marks=tuple(number for verdict in verdicts for number in verdict.removed),
    )


def _copied(
    text: str, verdict: _Verdict, hits: Sequence[Hit], number_of: Mapping[tuple[int, Range], int], shift: "_Shift"
) -> list[AnswerSpan]:
    """What a claim copied from its first citation, in the answer's offsets; no span holds a mark."""
    spans = []
    for key in verdict.found[:1]:
        passage, source_range = key
        hit = hits[passage]
        for start, end in shift.pieces(verdict.claim.start, verdict.claim.end):
            for copy in find_copies(text, (start, end), hit.text, source_range):
                length = copy.answer_end - copy.answer_start
                answer_start = shift.start(copy.answer_start)
                spans.append(
                    AnswerSpan(
                        answer_start=answer_start,
                        answer_end=answer_start + length,
                        citation=number_of[key],
                        start=hit.start + copy.start,
                        end=hit.start + copy.start + length,
                    )
                )
    return spans


class _Shift:
    """From offsets in the text without marks to offsets in the answer with them."""

    def __init__(self, marks: Mapping[int, str]) -> None:
        self._marks = sorted(marks.items())

    def insert(self, text: str) -> str:
        parts, at = [], 0
        for place, mark in self._marks:
            parts += [text[at:place], mark]
            at = place
        return "".join([*parts, text[at:]])

    def start(self, offset: int) -> int:
        """Where a range that begins here begins: after a mark that stands here."""
        return offset + sum(len(mark) for place, mark in self._marks if place <= offset)

    def end(self, offset: int) -> int:
        """Where a range that ends here ends: before a mark that stands here."""
        return offset + sum(len(mark) for place, mark in self._marks if place < offset)

    def pieces(self, start: int, end: int) -> list[Range]:
        """The range, cut where marks stand within."""
        edges = [start, *(place for place, _ in self._marks if start < place < end), end]
        return list(zip(edges, edges[1:], strict=False))


def _is_refusal(sentence: str) -> bool:
    return [word.exact for word in split_words(sentence)] == [word.exact for word in split_words(REFUSAL)]
