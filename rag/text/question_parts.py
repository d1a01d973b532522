"""What an English question is made of, by rules alone: its question word, names, numbers and noun phrases.

There is no part-of-speech tagger. Words of the closed classes are listed; what stands between them is content, and a
few rules about English word order tell the verb from the nouns. They err now and then, and then a phrase is a word too
long or too short.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rag.text.word_classes import (
    AUXILIARIES,
    DAYS,
    DEMONSTRATIVES,
    DETERMINERS,
    DO_LIKE,
    FUNCTION_WORDS,
    MONTHS,
    NO_PERSON,
    PARTICIPLES,
    PERSON_NOUNS,
    PREDICATES,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION_WORDS,
    SUBJECT_PRONOUNS,
)

_WORD = re.compile(r"\w+(?:['\u2019&.-]\w+)*")

_YEAR = re.compile(r"(?:1[0-9]|20|21)\d\d")


@dataclass(frozen=True, slots=True)
class Word:
    """The characters ``start:end`` of a question."""

    text: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        """In small letters, with a plain apostrophe."""
        return self.text.lower().replace("\u2019", "'")

    @property
    def is_content(self) -> bool:
        """Whether it is of an open class: a noun, verb, adjective, name or number."""
        return self.lower not in FUNCTION_WORDS and not self.lower.endswith("n't")

    @property
    def is_name(self) -> bool:
        """Whether it is written like a name. The first word of a question always is."""
        return self.text[:1].isupper() and self.is_content


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase; ``head`` is its last noun before any preposition, in small letters."""

    text: str
    start: int
    end: int
    head: str
    is_determined: bool
    is_name: bool

    @property
    def is_person(self) -> bool:
        """Whether it reads like a person: a noun for one, or a name of two or three words and nothing else."""
        words = self.text.split()
        if self.is_name and not self.is_determined and 2 <= len(words) <= 3 and self.head not in NO_PERSON:
            return all(word[:1].isupper() for word in words)
        return self.head in PERSON_NOUNS

    @property
    def is_plural(self) -> bool:
        """Whether its head looks like a plural."""
        return self.head in ("people", "staff", "children") or (
            self.head.endswith("s") and not self.head.endswith(("ss", "us", "is"))
        )


def kind_of(word: str) -> str:
    """What could be put in a word's place: ``year``, ``number``, ``day``, ``month``, ``name`` or ``noun``."""
    lower = word.lower()
    if _YEAR.fullmatch(word):
        return "year"
    if lower in DAYS or lower.removesuffix("s") in DAYS:
        return "day"
    if lower in MONTHS and word[:1].isupper():
        return "month"
    if word[:1].isdigit():
        return "number"
    return "name" if word[:1].isupper() else "noun"


class Question:
    """A question taken apart."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [Word(m.group(), m.start(), m.end()) for m in _WORD.finditer(text)]

    @cached_property
    def content(self) -> list[Word]:
        """Its words of open classes."""
        return [word for word in self.words if word.is_content]

    @cached_property
    def question_word(self) -> str:
        """The question word that it begins with, after a preposition or not; empty for other questions."""
        for word in self.words[:2]:
            if word.lower in QUESTION_WORDS:
                return word.lower
            if word.lower not in PREPOSITIONS:
                break
        return ""

    @cached_property
    def asked(self) -> tuple[int, int]:
        """The words ``first:last`` that the answer stands for: ``who``, ``which machine``, ``how many days``."""
        if not self.question_word:
            return 0, 0
        first = next(at for at, word in enumerate(self.words) if word.lower in QUESTION_WORDS)
        at = first + 1
        if self.question_word in ("what", "which", "whose", "how"):
            while at < len(self.words) and self.words[at].lower in ("many", "much", "long", "often", "other"):
                at += 1
            while at < len(self.words) and self.words[at].is_content:
                at += 1
            if self.question_word != "how" and self._asked_ends_with_verb(first + 1, at):
                at -= 1
        return first, at

    @property
    def asked_noun(self) -> str:
        """What the answer is called in the question: ``machine``; empty for ``who`` and the like."""
        first, last = self.asked
        return self.words[last - 1].lower if last - first > 1 and self.words[last - 1].is_content else ""

    @property
    def asked_phrase(self) -> str:
        """The same with what it is a number or a kind of: ``days of paid leave``."""
        _, last = self.asked
        noun = self.asked_noun
        of = next((p for p in self.phrases if self._word(last) == "of" and p.start == self.words[last + 1].start), None)
        return f"{noun} of {of.text}" if noun and of is not None else noun

    @cached_property
    def is_inverted(self) -> bool:
        """Whether an auxiliary comes before the subject, so that the answer is not the subject: ``when did it …``."""
        _, last = self.asked
        if self._word(last) not in AUXILIARIES:
            return False
        after = self.words[last + 1 : last + 2]
        return self._word(last) in DO_LIKE or any(
            word.lower in DETERMINERS | PRONOUNS | DEMONSTRATIVES or word.is_name for word in after
        )

    @cached_property
    def phrases(self) -> list[Phrase]:
        """Its noun phrases in order, each with the prepositional phrases that follow it; what is asked for is none."""
        chunks = [chunk for chunk in self._chunks() if chunk[0] < chunk[1]]
        phrases, at = [], 0
        while at < len(chunks):
            first, end = chunks[at]
            head = end - 1
            while at + 1 < len(chunks) and self._joins(end, chunks[at + 1][0]):
                at += 1
                end = chunks[at][1]
            phrases.append(self._phrase(first, end, head))
            at += 1
        return phrases

    def simple_phrases(self) -> list[Phrase]:
        """The noun phrases without joining them by prepositions."""
        return [self._phrase(first, end, end - 1) for first, end in self._chunks() if first < end]

    def _phrase(self, first: int, end: int, head: int) -> Phrase:
        words = self.words[first:end]
        determined = words[0].lower in DETERMINERS
        own = words[1:] if determined else words
        start = words[0].start
        return Phrase(
            text=self.text[start : words[-1].end],
            start=start,
            end=words[-1].end,
            head=self.words[head].lower,
            is_determined=determined,
            is_name=bool(own) and own[0].is_name,
        )

    def _chunks(self) -> list[tuple[int, int]]:
        """Runs of content words with their determiner, without verbs, as far as these can be told."""
        _, at = self.asked
        if at < len(self.words) and at and self.words[at].is_content:
            at += 1  # "who keeps the rota": after the question word stands the verb
        chunks = []
        while at < len(self.words):
            start = at
            while at < len(self.words) and self.words[at].lower in DETERMINERS:
                at += 1
            content = at
            while at < len(self.words) and self.words[at].is_content:
                at += 1
            if content < at and content == start and self._word(start - 1) in SUBJECT_PRONOUNS:
                content = start = start + 1  # "can I visit the": the verb
            if content < at:
                end = at - 1 if self._verb_ends(content, at) else at
                if end > content:
                    chunks.append((start, end))
            elif at == start:
                at += 1
        return chunks

    def _verb_ends(self, first: int, end: int) -> bool:
        """Whether the run of content words ends with the verb."""
        last = self.words[end - 1]
        if end - first < 2 or last.is_name or last.text[:1].isdigit():
            return False
        if self._word(self.asked[1]) in DO_LIKE:
            return self._word(end) not in AUXILIARIES and self._word(end) != "of"
        return last.lower.endswith("ed") or last.lower in PARTICIPLES or last.lower in PREDICATES

    def _asked_ends_with_verb(self, first: int, end: int) -> bool:
        """Whether the verb follows what is asked for without any mark: ``which team maintains the …``."""
        if end == first:
            return False
        following = self.words[end] if end < len(self.words) else None
        if end - first == 1:
            return self.words[first].lower.endswith("s") and following is not None and following.lower in DETERMINERS
        if following is None:
            return end - first > 2 and self.words[end - 1].lower.endswith(("s", "ed"))
        return following.is_name or following.lower in DETERMINERS | PRONOUNS | PREPOSITIONS - {"of"}

    def _joins(self, end: int, next_first: int) -> bool:
        if next_first != end + 1:
            return False
        joins = self._word(end) in ("of", "in", "at", "for", "on", "near", "over")
        return joins or (self._word(end) == "to" and self.words[next_first].is_name)

    def _word(self, at: int) -> str:
        return self.words[at].lower if 0 <= at < len(self.words) else ""


def names_of(words: Sequence[Word]) -> list[tuple[int, int]]:
    """Runs of words that are written like names, as ``first:last``; a first word only with a name after it."""
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(words):
        start = at
        while at < len(words) and words[at].is_name:
            at += 1
        if at > start and not (start == 0 and at == 1 and len(words) > 1):
            runs.append((start, at))
        at = max(at, start + 1)
    return runs
