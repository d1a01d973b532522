"""What kind of thing a question asks for: a person, a time, a place, a number, a reason ... By its words alone."""

import re
from collections.abc import Mapping
from typing import Literal, get_args

QuestionKind = Literal["who", "when", "where", "how many", "why", "how", "which", "what", "yes or no", "other"]
QUESTION_KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)

_ASKING = re.compile(r"\b(?:who(?:m|se)?|when|where|why|how|which|what|what's|who's)\b", re.IGNORECASE)
_TIMES = r"(?:years?|dates?|days?|months?|centur(?:y|ies)|decades?|times?|eras?|ages?)\b(?! of\b)"
_PLACES = r"(?:cit(?:y|ies)|countr(?:y|ies)|states?|towns?|continents?|places?|locations?|villages?|count(?:y|ies))\b"
_NUMBERS = r"(?:percentages?|percent|numbers?|amounts?|populations?|shares?|prices?)\b"
_PEOPLE = r"(?:persons?|people|presidents?|kings?|queens?|authors?|actors?|directors?)\b"
_KIND_OF_NOUNS: Mapping[QuestionKind, str] = {"when": _TIMES, "where": _PLACES, "how many": _NUMBERS, "who": _PEOPLE}
_OF_NOUN = {
    kind: re.compile(rf"(?:what|which)(?:\s+(?:is|was|are|were)\s+the)?\s+{nouns}", re.IGNORECASE)
    for kind, nouns in _KIND_OF_NOUNS.items()
}
_HOW_MANY = re.compile(
    r"how\s+(?:many|much|long|old|far|tall|high|deep|large|big|often|wide|fast|heavy|late|early)\b", re.IGNORECASE
)
_WHAT_REASON = re.compile(r"(?:for\s+)?what(?:'s|\s+is|\s+was|\s+are|\s+were)?\s+(?:the\s+)?reasons?\b", re.IGNORECASE)
_VERB_FIRST = re.compile(
    r"\s*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|must|am)(?:n't)?\b", re.IGNORECASE
)


def kind_of(question: str) -> QuestionKind:
    """The kind, by the first word that asks; ``in what year`` asks like ``when``, ``how old`` like ``how many``."""
    asking = _ASKING.search(question)
    if asking is None:
        return "yes or no" if _VERB_FIRST.match(question) else "other"
    rest = question[asking.start() :]
    word = asking.group().casefold().removesuffix("'s")
    if word in ("what", "which"):
        if _WHAT_REASON.match(rest):
            return "why"
        of_noun = next((kind for kind, pattern in _OF_NOUN.items() if pattern.match(rest)), None)
        return of_noun or ("which" if word == "which" else "what")
    if word == "how":
        return "how many" if _HOW_MANY.match(rest) else "how"
    simple: dict[str, QuestionKind] = {"when": "when", "where": "where", "why": "why"}
    return simple.get(word, "who")
