"""Which characters of an answer were copied from a range of a passage, and which the model wrote itself."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rag.text.words import FUNCTION_WORDS, Word, split_words

_MIN_WORDS = 2
"""Shorter runs are chance, unless the word is a name or a number."""


@dataclass(frozen=True, slots=True)
class Copy:
    """``answer[answer_start:answer_end]`` equals ``source[start : start + length]``, character for character."""

    answer_start: int
    answer_end: int
    start: int


def find_copies(answer: str, answer_range: tuple[int, int], source: str, source_range: tuple[int, int]) -> list[Copy]:
    """The longest runs of words within ``answer_range`` that stand within ``source_range`` just so; ascending, apart.

    From left to right, each time the longest run that begins at a word; the first of several equal ones. Passages put
    things in another order than answers do, so runs may come from anywhere in the range.
    """
    words = split_words(answer, *answer_range)
    origins = split_words(source, *source_range)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, origin in enumerate(origins):
        places[origin.text].append(place)
    copies, at = [], 0
    while at < len(words):
        length, place = _longest(answer, words, at, source, origins, places.get(words[at].text, ()))
        if length >= _MIN_WORDS or (length == 1 and _tells_much(words[at])):
            copies.append(Copy(words[at].start, words[at + length - 1].end, origins[place].start))
            at += length
        else:
            at += 1
    return copies


def _longest(
    answer: str, words: Sequence[Word], at: int, source: str, origins: Sequence[Word], places: Sequence[int]
) -> tuple[int, int]:
    """Number of words of the longest run from ``words[at]``, and where it begins among ``origins``."""
    best = (0, 0)
    for place in places:
        length = 1
        while at + length < len(words) and place + length < len(origins):
            end, origin_end = words[at + length].end, origins[place + length].end
            # From the end of the last word, with what stands between the two.
            if answer[words[at + length - 1].end : end] != source[origins[place + length - 1].end : origin_end]:
                break
            length += 1
        if length > best[0]:
            best = (length, place)
    return best


def _tells_much(word: Word) -> bool:
    return word.exact not in FUNCTION_WORDS and (word.is_number or word.has_capital)
