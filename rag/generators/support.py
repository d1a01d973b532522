"""Does a passage say what a sentence claims? By its words alone: no model, the same verdict every time.

After attribution as Rashkin et al. define it ("Measuring Attribution in Natural Language Generation Models", 2023): a
claim is supported if "according to this passage" could be put before it. Words can only approximate that. A claim
passes if it stands in the passage word for word, or if one sentence of the passage (with the one before, where a
pronoun may refer to that) holds nearly all of its content words and *all* of its names, numbers with their units, and
words of degree, and is negated just as it is. So it errs towards doubt: a faithful paraphrase in other words is
refused. It cannot see who did what to whom: "A pays B" and "B pays A" have the same words.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.text.sentences import sentence_spans
from rag.text.words import DEGREE_WORDS, FUNCTION_WORDS, PRONOUNS, Word, is_negation, split_words

MIN_RECALL = 0.8
"""Share of a claim's content words that the evidence must hold: one in five may be the answer's own."""
_MIN_OWN_RECALL = 0.5
"""The same for that sentence alone: headings and the sentence before may say what it is about, not what it says."""
_WORDS_BEFORE = 3
"""How far before the words that match a negation still turns them round: "must never be used"."""

# What no author writes about the subject of a document, only to whoever reads it as a prompt.
_ORDER_TO_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?\n]{0,60}"
    r"\b(?:above|previous|prior|preceding|earlier|instructions?|rules|prompts?|passages?|context|guidelines)\b"
    r"|\b(?:reveal|repeat|print|output|show|leak|disclose)\b[^.!?\n]{0,40}\b(?:prompt|system message|instructions)\b"
    r"|\bsystem prompt\b|\byou are (?:now|no longer)\b|\bnew instructions?\s*:",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"\u201c\u201d\u201e\xab]([^\"\u201c\u201d\u201e\xab\xbb\n]{2,300})[\"\u201c\u201d\xbb]")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The characters ``start:end`` of a passage, which hold its words ``first:last``."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Source:
    """A passage prepared for comparing, up to the first sentence that gives orders to a model: what follows such a
    sentence is no evidence for anything. ``context`` holds the words of its title and headings.
    """

    text: str
    words: Sequence[Word]
    sentences: Sequence[Stretch]
    context: Sequence[Word]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be supported: ``content`` words (as stems), among them those that may not be missing, and quotations.

    ``names`` are words with a capital, but not an ordinary word that opens the claim. ``figures`` are numbers and words
    of degree, ``units`` the words after numbers (as stems).
    """

    words: Sequence[Word]
    content: frozenset[str]
    names: frozenset[str]
    figures: frozenset[str]
    units: frozenset[str]
    is_negated: bool
    quotes: tuple[str, ...]


def read_source(text: str, *, context: str) -> Source:
    """Prepare a passage; ``context`` is the line of its title and headings."""
    order = _ORDER_TO_MODEL.search(text)
    words: list[Word] = []
    sentences = []
    for start, end in sentence_spans(text):
        if order is not None and end > order.start():
            break
        first = len(words)
        words.extend(split_words(text, start, end))
        sentences.append(Stretch(start, end, first, len(words)))
    return Source(text, words, sentences, split_words(context))


def read_claim(text: str, *, ordinary: frozenset[str]) -> Claim:
    """Take a claim apart. ``ordinary`` are stems of words that stand in small letters somewhere: those are no names."""
    words = split_words(text)
    content = [(at, word) for at, word in enumerate(words) if word.exact not in FUNCTION_WORDS]
    capitals = {word.exact for at, word in content if word.has_capital and (at > 0 or word.key not in ordinary)}
    figures = {word.exact for _, word in content if word.is_number or word.exact in DEGREE_WORDS}
    return Claim(
        words=words,
        content=frozenset(word.key for _, word in content),
        names=frozenset(capitals - figures),
        figures=frozenset(figures),
        units=frozenset(word.key for at, word in content if at and words[at - 1].is_number),
        is_negated=any(map(is_negation, words)),
        quotes=tuple(match[1] for match in _QUOTED.finditer(text)),
    )


def find_support(claim: Claim, source: Source, *, question: frozenset[str]) -> tuple[Range, ...]:
    """The ranges of ``source.text`` that support the claim; empty if nothing does.

    For a claim that stands there word for word: those words. Else the sentence, or the two; or, if the claim quotes,
    what it quotes, all of which must stand there. Of several places, that whose sentence shares most words with
    ``question`` (stems) counts, then the first.
    """
    if not claim.content:
        return ()
    exact = [run for run in _runs(claim.words, source) if _is_negated(source, run.first, run.last) == claim.is_negated]
    if exact:
        run = _closest(exact, source, question)
        return ((run.start, run.end),)
    supporting = [sentence for sentence in source.sentences if _supports(claim, source, sentence, sentence)]
    supporting = supporting or [both for both, last in _pairs(source) if _supports(claim, source, both, last)]
    if not supporting:
        return ()
    quoted = [_runs(split_words(quote), source) for quote in claim.quotes]
    if not all(quoted):
        return ()
    if quoted:
        return tuple(sorted({(run.start, run.end) for runs in quoted for run in runs[:1]}))
    window = _closest(supporting, source, question)
    return ((window.start, window.end),)


def _supports(claim: Claim, source: Source, window: Stretch, core: Stretch) -> bool:
    """Whether a stretch supports a claim whose figures its sentence ``core`` must hold, and half of its words."""
    around = [*source.words[window.first : window.last], *source.context]
    own = source.words[core.first : core.last]
    keys, own_keys = {word.key for word in around}, {word.key for word in own}
    if not (
        claim.figures <= {word.exact for word in own}
        and claim.units <= own_keys
        and claim.names <= {word.exact for word in around}
        and len(claim.content & keys) >= MIN_RECALL * len(claim.content)
        and len(claim.content & own_keys) >= _MIN_OWN_RECALL * len(claim.content)
    ):
        return False
    matching = [at for at in range(core.first, core.last) if source.words[at].key in claim.content]
    return _is_negated(source, matching[0], matching[-1] + 1) == claim.is_negated


def _pairs(source: Source) -> Iterator[tuple[Stretch, Stretch]]:
    """Sentences with a pronoun, each together with the one before it, and alone."""
    for before, last in zip(source.sentences, source.sentences[1:], strict=False):
        if any(word.exact in PRONOUNS for word in source.words[last.first : last.last]):
            yield Stretch(before.start, last.end, before.first, last.last), last


def _is_negated(source: Source, first: int, last: int) -> bool:
    opening = max((s.first for s in source.sentences if s.first <= first), default=0)
    return any(map(is_negation, source.words[max(opening, first - _WORDS_BEFORE) : last]))


def _runs(words: Sequence[Word], source: Source) -> list[Stretch]:
    """Where these words stand in a row, upper and lower case alike."""
    wanted = [word.text.casefold() for word in words]
    if not wanted:
        return []
    return [
        Stretch(source.words[at].start, source.words[at + len(wanted) - 1].end, at, at + len(wanted))
        for at in range(len(source.words) - len(wanted) + 1)
        if source.words[at].text.casefold() == wanted[0]
        and all(source.words[at + ahead].text.casefold() == want for ahead, want in enumerate(wanted))
    ]


def _closest(stretches: Sequence[Stretch], source: Source, question: frozenset[str]) -> Stretch:
    def shared(stretch: Stretch) -> int:
        around = [s for s in source.sentences if s.first < stretch.last and s.last > stretch.first]
        return len(question & {word.key for s in around for word in source.words[s.first : s.last]})

    return max(stretches, key=lambda stretch: (shared(stretch), -stretch.start))
