"""What the pronouns of a follow-up mean: looked for in the questions and answers before it, the last one first."""

import re
from collections.abc import Sequence

from rag.records import Turn
from rag.text.question_parts import (
    Phrase,
    Question,
    kind_of,
    names_of,
)
from rag.text.word_classes import (
    ATTRIBUTES,
    GROUPS,
    PERSON_NOUNS,
    PERSONS,
    PLACE_NOUNS,
    QUESTION_WORDS,
    TIME_NOUNS,
)

MAX_ANSWER_WORDS = 8
"""A longer answer is a sentence: then a name in it is what it says."""
MAX_CLAUSE_WORDS = 24

_MARKS = re.compile(r"\s*\[\d+\]")
_PLACE_BEFORE = re.compile(r"^(?:in|at|to|from|near|on|into)\s+", re.IGNORECASE)


def referent(pronoun: str, turns: Sequence[Turn], *, noun: str = "") -> str | None:
    """What a pronoun, or a demonstrative before ``noun``, means after these turns; None where that is not known."""
    for turn in reversed(turns):
        found = _in_turn(pronoun, noun, turn, Question(turn.question))
        if found:
            return found
    return None


def names_person(turn: Turn) -> bool:
    """Whether a turn named somebody."""
    return _person(short_answer(turn.answer), Question(turn.question)) is not None


def clause_of(turn: Turn) -> str:
    """What a turn said, as a clause: ``Who founded the company?`` and ``Maria Costa`` are ``Maria Costa founded …``."""
    parsed = Question(turn.question)
    answer = short_answer(turn.answer)
    _, last = parsed.asked
    words = parsed.words[last:]
    rest = parsed.text[words[0].start :].rstrip(" ?.!") if words else ""
    if parsed.question_word and not parsed.is_inverted:
        noun = "" if parsed.asked_noun in answer.lower().split() else parsed.asked_noun
        clause = f"{answer} {noun} {rest}"
    else:
        auxiliary = len(words[0].text) if words and (parsed.is_inverted or not parsed.question_word) else 0
        asked = parsed.text[parsed.words[0].end : words[0].start].strip() if words and parsed.asked_noun else ""
        clause = f"{rest[auxiliary:].strip()} {asked} {answer}"
    return " ".join(clause.split()[:MAX_CLAUSE_WORDS])


def short_answer(answer: str) -> str:
    """The answer where it is short; of a sentence the name or number in it; without citation marks."""
    plain = " ".join(_MARKS.sub("", answer).split()).strip(" .")
    if len(plain.split()) <= MAX_ANSWER_WORDS:
        return plain
    words = Question(plain).words
    runs = names_of(words)
    if not runs:
        return ""
    first, last = max(runs, key=lambda run: (min(run[1] - run[0], 2), -run[0]))
    return plain[words[first].start : words[last - 1].end]


def _in_turn(pronoun: str, noun: str, turn: Turn, asked: Question) -> str | None:
    answer = short_answer(turn.answer)
    if noun:
        return _of_noun(noun, answer, asked)
    if pronoun in PERSONS:
        return _person(answer, asked)
    if pronoun in ("there", "here"):
        return _place(answer, asked)
    if pronoun == "then":
        return _PLACE_BEFORE.sub("", answer) if answer and _asks_for_time(asked) else None
    if pronoun in GROUPS:
        return _group(answer, asked)
    return _thing(answer, asked)


def _of_noun(noun: str, answer: str, asked: Question) -> str | None:
    """``that year`` after a question for a year, ``that machine`` after one for a machine, or the machine's name."""
    if answer and asked.asked_noun == noun:
        return _PLACE_BEFORE.sub("", answer) if noun in PLACE_NOUNS | TIME_NOUNS else f"the {noun} {answer}"
    if answer and noun in PLACE_NOUNS and asked.question_word == "where":
        return _PLACE_BEFORE.sub("", answer)
    if answer and noun in TIME_NOUNS and (asked.question_word == "when"):
        return _PLACE_BEFORE.sub("", answer)
    if answer and noun in PERSON_NOUNS and _asks_for_person(asked):
        return answer
    same = [phrase for phrase in (*asked.phrases, *asked.simple_phrases()) if phrase.head == noun]
    return same[0].text if same else None


def _person(answer: str, asked: Question) -> str | None:
    if answer and _asks_for_person(asked) and kind_of(answer) == "name":
        return answer
    persons = [phrase for phrase in asked.phrases if phrase.is_person]
    if persons:
        return persons[0].text
    lone = [phrase for phrase in asked.phrases if phrase.is_name and not phrase.is_determined]
    return (
        lone[0].text if lone and len(lone[0].text.split()) <= 3 and not _follows_preposition(asked, lone[0]) else None
    )


def _place(answer: str, asked: Question) -> str | None:
    if answer and (asked.question_word == "where" or asked.asked_noun in PLACE_NOUNS):
        return _PLACE_BEFORE.sub("", answer)
    after = [phrase for phrase in asked.simple_phrases() if phrase.is_name and _follows_preposition(asked, phrase)]
    if after:
        return next((p.text for p in asked.phrases if p.end == after[-1].end and p.is_determined), after[-1].text)
    return _thing("", asked)


def _group(answer: str, asked: Question) -> str | None:
    if answer and _asks_for_person(asked):
        return answer
    candidates = asked.phrases
    plural = [phrase for phrase in candidates if phrase.is_plural]
    noun = asked.asked_noun
    if noun.endswith("s") and not plural:
        return asked.asked_phrase
    return (plural or candidates)[0].text if candidates else noun or None


def _thing(answer: str, asked: Question) -> str | None:
    noun = asked.asked_noun
    is_subject = bool(asked.question_word) and not asked.is_inverted
    asks_for_thing = (
        bool(noun)
        and asked.question_word in ("which", "what")
        and noun not in PERSON_NOUNS | TIME_NOUNS | ATTRIBUTES | PLACE_NOUNS
    )
    if answer and is_subject and asks_for_thing:
        return answer if kind_of(answer) == "name" else f"the {noun} {answer}"
    candidates = [
        phrase for phrase in asked.phrases if not phrase.is_person and kind_of(phrase.text) in ("name", "noun")
    ]
    if not candidates and answer and asks_for_thing:
        return answer
    # A firm may have the name of a person.
    candidates = candidates or [phrase for phrase in asked.phrases if phrase.is_name]
    if not candidates:
        return None
    return _without_attribute(asked, candidates[0])


def _without_attribute(asked: Question, phrase: Phrase) -> str:
    """``the bridge`` of ``the height of the bridge``: what has the attribute is what is spoken of."""
    whole, of, owner = phrase.text.partition(" of ")
    attribute = whole.split()[-1].lower()
    return owner if of and attribute in ATTRIBUTES and asked.question_word in QUESTION_WORDS else phrase.text


def _asks_for_person(asked: Question) -> bool:
    return asked.question_word in ("who", "whom", "whose") or asked.asked_noun in PERSON_NOUNS


def _asks_for_time(asked: Question) -> bool:
    return asked.question_word == "when" or asked.asked_noun in TIME_NOUNS


def _follows_preposition(asked: Question, phrase: Phrase) -> bool:
    before = asked.text[: phrase.start].split()
    return bool(before) and before[-1].lower() in ("in", "at", "to", "from", "near", "of", "on")
