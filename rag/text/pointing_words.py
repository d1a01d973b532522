"""The words of a question that point out of it: ``it``, ``that year``, ``there``, as far as nothing in it is meant.

A pronoun that can mean something which the question names before it ("employees … their leave"), and one that means
nothing ("is it possible to …"), do not point out of it. In doubt a word does not: the question is left as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.records import Turn
from rag.text.question_parts import Phrase, Question
from rag.text.referents import names_person
from rag.text.word_classes import (
    AUXILIARIES,
    DEICTIC_NOUNS,
    DEMONSTRATIVES,
    GROUPS,
    PERSON_NOUNS,
    PERSONS,
    PLACE_NOUNS,
    PREPOSITIONS,
    PRONOUNS,
    TIME_NOUNS,
)

_EXPLETIVE = re.compile(
    r"\b(?:does|did|do|will|would|can|could|should|might)(?:n't)? it (?:take|cost|need|require|matter|mean)\b"
    r"(?=.*\b(?:to|for|until|that|when|if)\b)"
    r"|\b(?:is|was|be|isn't|wasn't) it (?:\w+ly )?(?:true|possible|allowed|ok|okay|necessary|required|legal|safe|"
    r"common|permitted|mandatory|important|easy|hard|difficult|worth|time|likely|forbidden|known) (?:to|for|which|who|"
    r"why)\b"
    r"|\b(?:is|was|isn't|wasn't) it (?:\w+ )?\w+ (?:that|whether|if|when)\b"
    r"|^it (?:is|was) .*\b(?:that|to)\b|\bit (?:is|was) that\b"
    r"|\bwhat time is it\b|\bit (?:rains|snows|freezes|takes)\b",
    re.IGNORECASE,
)
_ORDINALS = frozenset(["which", "other", "first", "second", "third", "last", "next", "new", "old"])
_EXISTENCE = AUXILIARIES - {"have", "has", "had"}


@dataclass(frozen=True, slots=True)
class PointingWord:
    """The words ``first:last`` of a question: a pronoun, or a demonstrative with the ``noun`` after it."""

    first: int
    last: int
    noun: str = ""


def pointing_words(parsed: Question, turns: Sequence[Turn]) -> list[PointingWord]:
    """The words that point out of the question, in order, after these turns."""
    nouns = _nouns_of(turns)
    expletive = [match.span() for match in _EXPLETIVE.finditer(parsed.text)]
    found = []
    for at, word in enumerate(parsed.words):
        if any(start <= word.start < end for start, end in expletive):
            continue
        if word.lower in PRONOUNS:
            if not _is_bound(parsed, at, turns):
                found.append(PointingWord(at, at + 1))
        elif word.lower in DEMONSTRATIVES:
            noun = _demonstrated(parsed, at, nouns)
            if noun is not None:
                found.append(PointingWord(at, at + 2 if noun else at + 1, noun))
        elif _is_place_or_one(parsed, at):
            found.append(PointingWord(at, at + 1))
    return found


def _nouns_of(turns: Sequence[Turn]) -> frozenset[str]:
    """What was spoken of, as single nouns, and what can be asked about any answer."""
    asked = [Question(turn.question) for turn in turns]
    heads = (phrase.head for question in asked for phrase in question.simple_phrases())
    return frozenset(heads) | {question.asked_noun for question in asked} | TIME_NOUNS | PLACE_NOUNS | PERSON_NOUNS


def _is_bound(parsed: Question, at: int, turns: Sequence[Turn]) -> bool:
    """Whether a pronoun can mean something that the question names before it."""
    word = parsed.words[at].lower
    first, last = parsed.asked
    before = [phrase for phrase in parsed.simple_phrases() if phrase.end <= parsed.words[at].start]
    # What is asked for is the subject, and it does something: "which player … he", "who … his".
    asks_for_subject = bool(parsed.question_word) and not parsed.is_inverted and at > last
    is_named = any(named.is_name for named in parsed.words[first + 1 : last])
    if word in PERSONS:
        if is_named or any(_may_be_person(phrase) for phrase in before):
            return True
        return asks_for_subject and (bool(parsed.asked_noun) or not names_person(turns[-1]))
    if word in GROUPS:
        return bool(before) or (asks_for_subject and (bool(parsed.asked_noun) or word in ("their", "theirs")))
    if asks_for_subject and word == "its" and parsed.asked_noun:
        return True
    return is_named or any(not phrase.is_person for phrase in before)


def _may_be_person(phrase: Phrase) -> bool:
    """Whether ``he`` can be meant: a person, a name, or what one calls a person by where they are from."""
    is_one_name = phrase.is_name and (not phrase.is_determined or len(phrase.text.split()) == 2)
    return phrase.is_person or is_one_name


def _demonstrated(parsed: Question, at: int, nouns: frozenset[str]) -> str | None:
    """What ``this`` or ``that`` stands before: a noun, "" if it stands alone; None if it points to nothing."""
    word, words = parsed.words[at].lower, parsed.words
    following = words[at + 1] if at + 1 < len(words) else None
    before = words[at - 1].lower if at else ""
    is_inverted = before in AUXILIARIES and at <= parsed.asked[1] + 1  # "is that", "what does that"
    is_alone = is_inverted or before in PREPOSITIONS
    if following is None:
        return ""
    if following.lower in ("one", "ones"):
        return following.lower
    if following.is_name:
        return None  # "the year that Acme …"
    if word == "that" and at and not is_alone and following.lower not in nouns:
        return None  # "the rule that applies", "who said that the …"
    if not following.is_content:
        return "" if is_alone and following.lower not in ("who", "which", "whose", "in", "of", "with", "from") else None
    if word == "those" and following.lower.endswith("ing"):
        return None
    if word in ("this", "these") and following.lower.rstrip("s") in DEICTIC_NOUNS:
        return None
    if is_inverted and word in ("that", "this") and not _is_subject_noun(parsed, at + 1):
        return ""
    return following.lower


def _is_subject_noun(parsed: Question, at: int) -> bool:
    """``was that bridge built``: a noun with its verb after it; ``is that allowed``: none."""
    following = parsed.words[at + 1] if at + 1 < len(parsed.words) else None
    return following is not None and (following.is_content or following.lower in PREPOSITIONS)


def _is_place_or_one(parsed: Question, at: int) -> bool:
    words, lower = parsed.words, parsed.words[at].lower
    before = words[at - 1].lower if at else ""
    following = words[at + 1] if at + 1 < len(words) else None
    after = following.lower if following is not None else ""
    if lower == "there":
        return before not in _EXISTENCE and after not in _EXISTENCE
    if lower in ("one", "ones"):
        return before in _ORDINALS and after != "of" and not (following is not None and following.is_content)
    return lower == "then" and not after and at > 1
