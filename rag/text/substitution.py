"""``What about Bergen?``: the question that was asked before, with another thing in the place of the first one."""

from collections.abc import Sequence

from rag.records import Turn
from rag.text.question_parts import (
    Phrase,
    Question,
    kind_of,
    names_of,
)
from rag.text.referents import referent
from rag.text.word_classes import (
    ATTRIBUTES,
    DETERMINERS,
    PERSON_NOUNS,
    PREPOSITIONS,
)

Range = tuple[int, int]


def substitute(fragment: str, turns: Sequence[Turn]) -> str:
    """The last question with ``fragment`` in the place of what it takes turns with; else followed by it."""
    base = Question(turns[-1].question)
    wanted = Question(fragment)
    words = wanted.words
    preposition = words[0].lower if words and words[0].lower in PREPOSITIONS and len(words) > 1 else ""
    topic = fragment[words[1].start :] if preposition else fragment
    place = _place_for(topic, preposition, base)
    if place is not None:
        return base.text[: place[0]] + _fitting(topic, base.text[place[0] : place[1]]) + base.text[place[1] :]
    if not preposition and _head(topic) in ATTRIBUTES:
        about = referent("it", turns)
        return f"what is {topic} of {about}" if about else f"{topic}: {base.text}"
    return f"{base.text.rstrip(' ?.!')} {fragment}"


def _place_for(topic: str, preposition: str, base: Question) -> Range | None:
    """The characters of the earlier question that ``topic`` replaces."""
    own = [word for word in topic.split() if word.lower() not in DETERMINERS]
    kind = kind_of(own[0]) if own else "noun"
    if kind in ("year", "number", "day", "month"):
        same = [at for at, word in enumerate(base.words) if kind_of(word.text) == kind]
        return _with_unit(own, base, same[-1]) if same else _after_preposition(preposition, base)
    head = _head(topic)
    phrases = base.simple_phrases()
    # "The Bergen office" takes the place of all of "the office in Oslo".
    names_another = bool(names_of(Question(f"x {topic}").words))
    same_head = [phrase for phrase in phrases if phrase.head == head]
    if names_another:
        same_head = [phrase for phrase in base.phrases if phrase.head == head] or same_head
    if same_head:
        return same_head[-1].start, same_head[-1].end
    if kind == "name":
        return _name_in(preposition, base)
    after = _after_preposition(preposition, base)
    if after is not None:
        return after
    for family in (ATTRIBUTES, PERSON_NOUNS):
        if head.removesuffix("s") in family:
            return next((_range(phrase) for phrase in phrases if phrase.head.removesuffix("s") in family), None)
    # "What about dinner?" after "What does lunch cost?": both stand without an article.
    bare = [phrase for phrase in phrases if not phrase.is_determined and not phrase.is_name]
    return _range(bare[-1]) if bare and len(own) == len(topic.split()) and not preposition else None


def _with_unit(own: Sequence[str], base: Question, at: int) -> Range:
    """A number with what follows it in both: ``512 GB`` for ``256 GB``."""
    last = at
    for unit in own[1:]:
        if last + 1 == len(base.words) or base.words[last + 1].text.lower() != unit.lower():
            break
        last += 1
    return base.words[at].start, base.words[last].end


def _name_in(preposition: str, base: Question) -> Range | None:
    """The last name, or the one that stands after the same preposition."""
    runs = [(first, last) for first, last in names_of(base.words) if first > 0]
    if not runs:
        return None
    after_same = [run for run in runs if preposition and base.words[run[0] - 1].lower == preposition]
    first, last = (after_same or runs)[-1]
    return base.words[first].start, base.words[last - 1].end


def _after_preposition(preposition: str, base: Question) -> Range | None:
    if not preposition:
        return None
    for phrase in reversed(base.simple_phrases()):
        before = base.text[: phrase.start].split()
        if before and before[-1].lower() == preposition:
            return _range(phrase)
    return None


def _fitting(topic: str, replaced: str) -> str:
    """Without a determiner where a name alone is replaced, so that no two come together."""
    return topic if replaced[:1].islower() or not topic.lower().startswith("the ") else topic[4:]


def _head(topic: str) -> str:
    parsed = Question(topic)
    content = [word for word in parsed.words if word.is_content]
    until = next((at for at, word in enumerate(parsed.words) if at and word.lower in PREPOSITIONS), len(parsed.words))
    first = [word for word in parsed.words[:until] if word.is_content] or content
    return first[-1].lower if first else ""


def _range(phrase: Phrase) -> Range:
    return phrase.start, phrase.end
