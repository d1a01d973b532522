"""Follow-up questions: the form that a question has when it must be understood without the conversation around it.

"And who paid for it?" after "When was the Bergen bridge built?" is "Who paid for the Bergen bridge?". This is the task
of conversational question rewriting (Elgohary et al., "Can You Unpack That?", 2019), done here by rules alone, for
English. A question that stands by itself is never changed; where no rule is sure, what was asked before is added to the
question rather than put into it, since a search forgives a word too many more easily than one too few.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.records import Turn
from rag.text.question_parts import (
    Question,
    Word,
    names_of,
)
from rag.text.referents import clause_of, referent
from rag.text.substitution import substitute
from rag.text.word_classes import (
    AUXILIARIES,
    DEICTIC_NOUNS,
    DEMONSTRATIVES,
    GENERIC_VERBS,
    GROUPS,
    PERSON_NOUNS,
    PERSONS,
    PLACE_NOUNS,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION_WORDS,
    TIME_NOUNS,
)

MAX_TURNS = 6
"""How far back a referent is looked for. Who goes back further names it again."""

_LINK = re.compile(r"^\s*(?:(?:and|but|or|so|also|then|ok|okay|well|now|thanks|great)\b[,;.!]?\s+)+", re.IGNORECASE)
_ABOUT = re.compile(r"^\s*(?:what|how) about\s+(?P<topic>.+?)\s*[?.!]*\s*$", re.IGNORECASE | re.DOTALL)
_EXPLETIVE = re.compile(
    r"\b(?:does|did|do|will|would|can|could|should)(?:n't)? it (?:take|need|require)\b(?=.*\b(?:to|for|until)\b)"
    r"|\b(?:is|was|be|isn't|wasn't) it (?:\w+ly )?(?:true|possible|allowed|ok|okay|necessary|required|legal|safe|"
    r"common|permitted|mandatory|important|easy|hard|difficult|worth|time|likely|forbidden|known) (?:to|that|for|if|"
    r"whether|when|which|who|why)\b"
    r"|\bwhat time is it\b|\bit (?:rains|snows|freezes|takes)\b|\bit (?:is|was) that\b",
    re.IGNORECASE,
)
_BARE_EVENT = re.compile(
    r"^(?P<word>when|where|why|how|who|what year|which year|in (?:which|what) year|since when|until when|for how long|"
    r"how long|how often|by whom|by who|with whom|for whom|on what day|how much|how many)"
    r"(?: (?:exactly|precisely|so|was|is|were|did|does|has|that|this|it|be|been|happen|happened|happens|come|not|"
    r"then|else)\b)*\s*[?.!]*$",
    re.IGNORECASE,
)


def standalone_form(question: str, turns: Sequence[Turn], *, max_chars: int) -> str | None:
    """A follow-up as a question of its own, in view of the turns before it, oldest first.

    None where it stands by itself, where nothing before it helps, or where the form would exceed ``max_chars``.
    """
    if not turns or not question.strip():
        return None
    recent = list(turns[-MAX_TURNS:])
    resolved = _resolve(" ".join(question.split()), recent)
    if resolved is None:
        return None
    form = _polished(resolved)
    return None if len(form) > max_chars or form == question.strip() else form


def _resolve(question: str, turns: Sequence[Turn]) -> str | None:
    core = _LINK.sub("", question)
    linked = core != question
    parsed = Question(core)
    if not parsed.words:
        return None
    about = _ABOUT.match(core)
    fragment = about["topic"] if about else _fragment(parsed, linked=linked)
    nouns = _nouns_of(turns)
    if fragment is not None and not _pronouns(Question(fragment), nouns):
        return substitute(fragment, turns)
    bare = _BARE_EVENT.match(core)
    if bare and (bare["word"].lower() in ("when", "why") or " it" not in core.lower()):
        return _of_event(bare["word"], turns[-1])
    replaced = _replace_pronouns(parsed, turns, nouns)
    if replaced is not None:
        return replaced
    if _is_elliptical(parsed, linked=linked):
        return _with_clause(core, turns[-1])
    return _with_fuller_name(parsed, turns) if linked else None


def _fragment(parsed: Question, *, linked: bool) -> str | None:
    """The question if it is no sentence but only names something: ``and in Bergen?``, ``Bergen?``."""
    words = parsed.words
    if any(word.lower in QUESTION_WORDS | AUXILIARIES for word in words) or len(words) > 6:
        return None
    opens_with_preposition = words[0].lower in PREPOSITIONS and len(words) > 1
    is_single = len(words) == 1 and parsed.text.rstrip().endswith("?") and words[0].is_content
    return parsed.text.strip(" ?.!") if linked or opens_with_preposition or is_single else None


@dataclass(frozen=True, slots=True)
class _Found:
    """A pronoun, ``first:last`` of the words with the noun that it stands before: ``that``, ``that year``."""

    first: int
    last: int
    noun: str = ""


def _nouns_of(turns: Sequence[Turn]) -> frozenset[str]:
    """What was spoken of, as single nouns, and what can be asked about any answer."""
    asked = [Question(turn.question) for turn in turns]
    heads = (phrase.head for question in asked for phrase in question.simple_phrases())
    return frozenset(heads) | {question.asked_noun for question in asked} | TIME_NOUNS | PLACE_NOUNS | PERSON_NOUNS


def _pronouns(parsed: Question, nouns: frozenset[str]) -> list[_Found]:
    """The words that point out of the question, in order. ``nouns`` are those that were spoken of."""
    found = []
    expletive = [match.span() for match in _EXPLETIVE.finditer(parsed.text)]
    for at, word in enumerate(parsed.words):
        if any(start <= word.start < end for start, end in expletive):
            continue
        if word.lower in PRONOUNS and not _is_bound(parsed, at):
            found.append(_Found(at, at + 1))
        elif word.lower in DEMONSTRATIVES and (noun := _demonstrated(parsed, at, nouns)) is not None:
            found.append(_Found(at, at + 2 if noun else at + 1, noun))
        elif _is_place_or_one(parsed, at):
            found.append(_Found(at, at + 1))
    return found


def _is_bound(parsed: Question, at: int) -> bool:
    """Whether a pronoun can mean something that the question names before it."""
    word = parsed.words[at]
    before = [phrase for phrase in parsed.simple_phrases() if phrase.end <= word.start]
    asks_for_person = parsed.question_word in ("who", "whose", "whom") and at > 1
    if word.lower in PERSONS:
        return any(phrase.is_person or (phrase.is_name and not phrase.is_determined) for phrase in before)
    if word.lower in GROUPS:
        is_subject = at == parsed.asked[1] + 1  # "who pays them": not who pays
        nouns = [Question(parsed.asked_noun).words] if parsed.asked_noun else []
        return any(phrase.is_plural or phrase.is_person for phrase in before) or (
            word.lower in ("their", "theirs") and not is_subject and bool(asks_for_person or nouns)
        )
    return any(not phrase.is_person for phrase in before) or (
        word.lower == "its" and bool(parsed.asked_noun) and not parsed.is_inverted
    )


def _demonstrated(parsed: Question, at: int, nouns: frozenset[str]) -> str | None:
    """What ``this`` or ``that`` stands before: a noun, "" if it stands alone; None if it points to nothing."""
    word, words = parsed.words[at], parsed.words
    following = words[at + 1] if at + 1 < len(words) else None
    before = words[at - 1].lower if at else ""
    if following is not None and following.lower in ("one", "ones"):
        return following.lower
    is_pointing = not before or before in AUXILIARIES | PREPOSITIONS or following is None
    if word.lower == "that" and not is_pointing and following is not None and following.lower not in nouns:
        return None  # "the rule that applies", "who said that the …"
    if following is None or not following.is_content:
        return None if following is not None and following.lower in ("who", "which", "whose") else ""
    if word.lower in ("this", "these") and following.lower.rstrip("s") in DEICTIC_NOUNS:
        return None
    is_alone = before in AUXILIARIES and word.lower in ("that", "this") and not _is_last_noun(parsed, at + 1)
    return "" if is_alone else following.lower


def _is_last_noun(parsed: Question, at: int) -> bool:
    """``was that bridge built``: a noun with its verb after it; ``is that allowed``: none."""
    return at + 1 < len(parsed.words) and (
        parsed.words[at + 1].is_content or parsed.words[at + 1].lower in PREPOSITIONS
    )


def _is_place_or_one(parsed: Question, at: int) -> bool:
    words, lower = parsed.words, parsed.words[at].lower
    before = words[at - 1].lower if at else ""
    after = words[at + 1].lower if at + 1 < len(words) else ""
    if lower == "there":
        return not {before, after} & (AUXILIARIES - {"have", "has", "had"}) or (
            not after and before not in ("is", "are")
        )
    if lower in ("one", "ones"):
        return before in ("which", "other", "first", "second", "third", "last", "next", "new", "old") and after != "of"
    return lower == "then" and not after and at > 1


def _replace_pronouns(parsed: Question, turns: Sequence[Turn], nouns: frozenset[str]) -> str | None:
    """The question with everything that points out of it replaced, or explained after it; None if nothing does."""
    found = _pronouns(parsed, nouns)
    if not found:
        return None
    text, needs_clause = parsed.text, False
    for pronoun in reversed(found):
        words = parsed.words[pronoun.first : pronoun.last]
        meant = _meant(parsed, pronoun, turns)
        if meant is None:
            needs_clause = True
        else:
            text = text[: words[0].start] + meant + text[words[-1].end :]
    return _with_clause(text, turns[-1]) if needs_clause else text


def _meant(parsed: Question, pronoun: _Found, turns: Sequence[Turn]) -> str | None:
    """What stands in a pronoun's place, in the form that fits there; None where that is not known."""
    word = parsed.words[pronoun.first]
    if word.lower in ("one", "ones") or pronoun.noun in ("one", "ones"):
        return None
    if word.lower in DEMONSTRATIVES and not pronoun.noun:
        return None
    phrase = referent(word.lower, turns, noun=pronoun.noun)
    if phrase is None:
        return None
    if word.lower in ("there", "then"):
        return f"in {phrase}"
    following = parsed.words[pronoun.last] if pronoun.last < len(parsed.words) else None
    return _possessive(phrase) if _is_possessive(word, following) else phrase


def _is_possessive(word: Word, following: Word | None) -> bool:
    if word.lower in ("its", "his", "their", "hers", "theirs"):
        return True
    return word.lower == "her" and following is not None and following.is_content


def _possessive(phrase: str) -> str:
    return f"{phrase}'" if phrase.endswith("s") else f"{phrase}'s"


def _is_elliptical(parsed: Question, *, linked: bool) -> bool:
    """Whether the question lacks what it is about: ``who paid?``, ``how many employees?``, ``which floor?``."""
    if not parsed.question_word:
        return False
    content = [word for word in parsed.content if word.lower not in GENERIC_VERBS]
    if not content:
        return True
    _, asked_end = parsed.asked
    rest = [word for word in parsed.words[asked_end:] if word.lower not in ("exactly", "then", "there", "ago", "else")]
    if not rest:
        return True  # only what is asked for
    is_verb_alone = len(rest) == 1 and rest[0].is_content and not rest[0].is_name
    return is_verb_alone and (linked or len(content) == 1)


def _of_event(word: str, turn: Turn) -> str:
    """``when was that?`` of what was asked before."""
    return f"{word} was it that {clause_of(turn)}?"


def _with_clause(question: str, turn: Turn) -> str:
    return f"{question.rstrip(' ?.!')}: {clause_of(turn)}?"


def _with_fuller_name(parsed: Question, turns: Sequence[Turn]) -> str | None:
    """After "and": ``the office`` becomes ``the Bergen office``, if that is what was spoken of last."""
    before = Question(turns[-1].question)
    for phrase in parsed.phrases:
        if not phrase.is_determined or not phrase.text.lower().startswith("the ") or len(phrase.text.split()) != 2:
            continue
        for fuller in before.phrases:
            names = names_of(Question(fuller.text).words)
            if fuller.head == phrase.head and names and len(fuller.text) > len(phrase.text):
                return parsed.text[: phrase.start] + fuller.text + parsed.text[phrase.end :]
    return None


def _polished(question: str) -> str:
    """One line that begins with a capital and ends with a question mark."""
    plain = " ".join(question.split()).rstrip(" ?.!")
    return f"{plain[:1].upper()}{plain[1:]}?"
