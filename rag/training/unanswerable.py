"""Making questions that a passage cannot answer although it is about the same things.

SQuAD 1.1 has answerable questions only. A reader that has never seen a near miss answers it; so near misses are made
from answerable questions by the changes that Rajpurkar et al. (2018, table 2) count among human-written ones: another
entity, another number, an antonym, a negation. And from passages: the sentence with the answer is taken out.

The changes work on text alone, by rules. Now and then a changed question still has its old answer; the reader is
trained on thousands, and a small share of wrong ones does no harm.
"""

import random
import re
from collections.abc import Callable, Sequence

from rag.text.sentences import sentence_spans

# Each word stands for the other, both ways.
_OPPOSITES = """
first last, largest smallest, biggest smallest, highest lowest, longest shortest, oldest youngest, oldest newest,
earliest latest, best worst, most least, more fewer, before after, begin end, began ended, start stop,
started stopped, beginning end, early late, earlier later, north south, northern southern, east west,
eastern western, increase decrease, increased decreased, increases decreases, increasing decreasing, gain lose,
gained lost, win lose, won lost, high low, higher lower, large small, larger smaller, big little, long short,
longer shorter, old new, older newer, older younger, fast slow, faster slower, strong weak, stronger weaker,
rich poor, male female, men women, man woman, father mother, son daughter, brother sister, husband wife,
king queen, boys girls, north-east south-west, inside outside, internal external, above below, over under,
top bottom, upper lower, major minor, majority minority, maximum minimum, positive negative, public private,
legal illegal, allowed forbidden, allow prohibit, allows prohibits, accept reject, accepted rejected,
approve oppose, approved opposed, support oppose, supported opposed, build destroy, built destroyed,
create destroy, created destroyed, open close, opened closed, enter leave, entered left, arrive depart,
arrived departed, join leave, joined left, add remove, added removed, include exclude, included excluded,
buy sell, bought sold, born killed, love hate, attack defend, attacked defended, urban rural, ancient modern,
common rare, often rarely, always never, usually rarely, easy difficult, hot cold, warm cold, wet dry,
summer winter, day night, light dark, black white, left right, front back, rise fall, rose fell, cause prevent,
caused prevented, causes prevents, useful useless, safe dangerous, formal informal, direct indirect,
domestic foreign, import export, imports exports, primary secondary, simple complex, hard soft, thick thin,
deep shallow, wide narrow, full empty, success failure, successful unsuccessful, popular unpopular,
possible impossible, able unable, similar different, same different, connect separate, connected separated,
united divided, friend enemy, allies enemies, peace war, hire fire, hired fired, promoted demoted, expand shrink,
expanded shrank, raise lower, raised lowered, appear disappear, appeared disappeared, temporary permanent,
voluntary mandatory, optional required, recent distant, near far, nearest farthest
"""
_OPPOSITE: dict[str, list[str]] = {}
for _pair in _OPPOSITES.split(","):
    _one, _other = _pair.split()
    _OPPOSITE.setdefault(_one, []).append(_other)
    _OPPOSITE.setdefault(_other, []).append(_one)

_NEGATED = {
    "did": "didn't", "does": "doesn't", "do": "don't", "is": "isn't", "was": "wasn't", "are": "aren't",
    "were": "weren't", "has": "hasn't", "have": "haven't", "had": "hadn't", "can": "can't", "could": "couldn't",
    "would": "wouldn't", "should": "shouldn't", "will": "won't",
}  # fmt: skip
_SMALL = {"of", "the", "and", "de", "von", "van", "for", "in", "&"}
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_NUMBER = re.compile(r"\b\d[\d,]*(?:\.\d+)?\b")
_NEVER_NAMES = {
    *("what", "who", "whom", "whose", "which", "where", "when", "why", "how"),
    *("in", "on", "at", "by", "the"),
}
_MIN_NOUN = 5


def names_in(text: str) -> list[tuple[int, int]]:
    """Character spans of what looks like a name: words with a capital, joined across small words.

    A word at the start of a sentence counts only if the text has it elsewhere with a capital too.
    """
    words = [(match.start(), match.end()) for match in _WORD.finditer(text)]
    starts = {start for start, _ in sentence_spans(text)}
    inner = {text[a:b] for a, b in words if a not in starts}
    spans: list[tuple[int, int]] = []
    current: tuple[int, int] | None = None
    for a, b in words:
        word = text[a:b]
        capital = word[0].isupper() and (a not in starts or word in inner) and word.lower() not in _NEVER_NAMES
        joined = current is not None and text[current[1] : a].strip() == ""
        if capital:
            if current is not None and joined:
                current = (current[0], b)
            else:
                spans += [current] if current else []
                current = (a, b)
        elif current is not None and not (joined and word in _SMALL and _capital_follows(text, b)):
            spans.append(current)
            current = None
        elif current is not None:
            current = (current[0], b)
    spans += [current] if current else []
    return [(a, b - 2 if text[a:b].endswith(("'s", "’s")) else b) for a, b in spans]


def _capital_follows(text: str, end: int) -> bool:
    rest = text[end : end + 2]
    return len(rest) == 2 and rest[0] == " " and rest[1].isupper()


def swap_name(question: str, passage: str, answer: str, rng: random.Random) -> str | None:
    """Put another name of the passage in the place of a name of the question."""
    mine = names_in(question)
    if not mine:
        return None
    start, end = rng.choice(mine)
    taken = f"{question} {answer}".lower()
    others = sorted({passage[a:b] for a, b in names_in(passage) if passage[a:b].lower() not in taken})
    others = [name for name in others if name.lower() not in taken and question[start:end].lower() not in name.lower()]
    if not others:
        return None
    return question[:start] + rng.choice(others) + question[end:]


def swap_number(question: str, passage: str, answer: str, rng: random.Random) -> str | None:
    """Put another number in the place of a number of the question: one of the passage, or one near it."""
    mine = list(_NUMBER.finditer(question))
    if not mine:
        return None
    chosen = rng.choice(mine)
    held = {match.group() for match in mine} | set(_NUMBER.findall(answer))
    others = [n for n in _NUMBER.findall(passage) if n not in held and len(n) == len(chosen.group())]
    if others and rng.random() < 0.6:
        new = rng.choice(others)
    elif chosen.group().isdigit():
        value = int(chosen.group())
        new = str(max(0, value + rng.choice((-10, -3, -2, -1, 1, 2, 3, 10))))
    else:
        return None
    return None if new in held else question[: chosen.start()] + new + question[chosen.end() :]


def swap_opposite(question: str, _passage: str, _answer: str, rng: random.Random) -> str | None:
    """Put its opposite in the place of a word."""
    found = [match for match in _WORD.finditer(question) if match.group().lower() in _OPPOSITE]
    if not found:
        return None
    chosen = rng.choice(found)
    return question[: chosen.start()] + rng.choice(_OPPOSITE[chosen.group().lower()]) + question[chosen.end() :]


def negate(question: str, _passage: str, _answer: str, _rng: random.Random) -> str | None:
    """Negate the first auxiliary verb."""
    for match in _WORD.finditer(question):
        if match.group().lower() in _NEGATED:
            return question[: match.start()] + _NEGATED[match.group().lower()] + question[match.end() :]
    return None


def swap_noun(question: str, passage: str, answer: str, rng: random.Random) -> str | None:
    """Put another long word of the passage in the place of a long word that question and passage share."""
    in_passage = {match.group() for match in _WORD.finditer(passage) if match.group().islower()}
    held = set(question.lower().split()) | set(answer.lower().split())
    found = [m for m in _WORD.finditer(question) if len(m.group()) >= _MIN_NOUN and m.group() in in_passage]
    if not found:
        return None
    chosen = rng.choice(found)
    # The same ending, so that a plural stays a plural and a participle a participle.
    others = sorted(
        word
        for word in in_passage - held
        if len(word) >= _MIN_NOUN and word[-2:] == chosen.group()[-2:] and word[:4] != chosen.group()[:4]
    )
    return question[: chosen.start()] + rng.choice(others) + question[chosen.end() :] if others else None


Change = Callable[[str, str, str, random.Random], str | None]
CHANGES: Sequence[tuple[Change, float]] = (
    (swap_name, 0.40),
    (swap_number, 0.15),
    (swap_opposite, 0.20),
    (negate, 0.10),
    (swap_noun, 0.15),
)
"""The changes and how often each is tried first."""


def change_question(question: str, passage: str, answer: str, rng: random.Random) -> str | None:
    """The question changed so that the passage does not answer it, or None if no change fits."""
    rest = list(CHANGES)
    while rest:
        change, share = rng.choices(rest, weights=[weight for _, weight in rest])[0]
        changed = change(question, passage, answer, rng)
        if changed is not None and changed != question:
            return changed
        rest.remove((change, share))
    return None


def without_answer(passage: str, answer: str) -> str | None:
    """The passage without the sentences that hold the answer's words; None if too little is left."""
    wanted = answer.lower()
    kept = [(a, b) for a, b in sentence_spans(passage) if wanted not in passage[a:b].lower()]
    rest = " ".join(passage[a:b] for a, b in kept)
    return rest if len(kept) >= 2 and wanted not in rest.lower() else None
