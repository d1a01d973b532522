"""Why and how: questions that a fragment does not answer get the sentences that the fragment stands in."""

import re

from rag.text.sentences import sentence_spans

_REASON = re.compile(
    r"\bwhy\b|\bhow come\b|\bwhat(?:'s| is| was| are| were) the reasons?\b|\bfor what reasons?\b", re.I
)
# "How did it end?" asks for an explanation; "how many", "how old" and the like ask for a short phrase.
_MANNER = re.compile(
    r"\bhow (?:do|does|did|can|could|should|would|will|may|might|must|is|are|was|were|has|have|had|to)(?:n't)?\b", re.I
)
MIN_MANNER_WORDS = 5
"""A shorter answer to a *how* question is a phrase in its own right ("by train"), a longer one a torn clause."""


def wants_sentences(question: str, answer: str) -> bool:
    """True where ``answer``, a span of a passage, should grow to whole sentences to answer ``question``."""
    if _REASON.search(question):
        return True
    return _MANNER.search(question) is not None and len(answer.split()) >= MIN_MANNER_WORDS


def supporting_sentences(text: str, start: int, end: int) -> tuple[int, int]:
    """From the start of the first to the end of the last sentence of ``text`` that the characters ``start:end`` touch.

    Sentences end at blank lines and list items, so a table row or an item stays one line.
    """
    held = [(a, b) for a, b in sentence_spans(text) if a < end and b > start]
    return (min(start, held[0][0]), max(end, held[-1][1])) if held else (start, end)
