"""Follow-up questions: the form that a question has when it must be understood without the conversation around it.

"And who paid for it?" after "When was the Bergen bridge built?" is "Who paid for the Bergen bridge?". This is the task
of conversational question rewriting (Elgohary et al., "Can You Unpack That?", 2019), done here by rules alone, for
English. A question that stands by itself is never changed; where no rule is sure, what was asked before is added to the
question rather than put into it, since a search forgives a word too many more easily than one too few.
"""

import re
from collections.abc import Sequence

from rag.records import Turn
from rag.text.pointing_words import PointingWord, pointing_words
from rag.text.question_parts import (
    Question,
    Word,
    names_of,
)
from rag.text.referents import clause_of, referent
from rag.text.substitution import substitute
from rag.text.word_classes import (
    AUXILIARIES,
    DEMONSTRATIVES,
    GENERIC_VERBS,
    PREPOSITIONS,
    QUESTION_WORDS,
)

MAX_TURNS = 6
"""How far back a referent is looked for. Who goes back further names it again."""

_LINK = re.compile(r"^\s*(?:(?:and|but|or|so|also|then|ok|okay|well|now|thanks|great)\b[,;.!]?\s+)+", re.IGNORECASE)
_ABOUT = re.compile(r"^\s*(?:what|how) about\s+(?P<topic>.+?)\s*[?.!]*\s*$", re.IGNORECASE | re.DOTALL)
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
    if fragment is not None and not pointing_words(Question(fragment), turns):
        return substitute(fragment, turns)
    bare = _BARE_EVENT.match(core)
    if bare and (bare["word"].lower() in ("when", "why") or " it" not in core.lower()):
        return _of_event(bare["word"], turns[-1])
    replaced = _replace_pronouns(parsed, turns)
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


def _replace_pronouns(parsed: Question, turns: Sequence[Turn]) -> str | None:
    """The question with everything that points out of it replaced, or explained after it; None if nothing does."""
    found = pointing_words(parsed, turns)
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


def _meant(parsed: Question, pronoun: PointingWord, turns: Sequence[Turn]) -> str | None:
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
    if len(content) > 2:
        return False
    _, asked_end = parsed.asked
    rest = [word for word in parsed.words[asked_end:] if word.lower not in ("exactly", "then", "there", "ago", "else")]
    if not rest:
        return len(content) == 1  # only what is asked for
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
