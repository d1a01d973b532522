"""Words as claims and evidence are compared by: what they mean alike, where they stand, and which kinds matter most."""

import re
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"\d+(?:[.,:]\d+)*\w*|\w+(?:['\u2019]\w+)*")
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_DOUBLED = re.compile(r"([^\W\d_])\1$")

_COUNTED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"}
# "one" is more often a pronoun than a number.
_SAME_WORD = {
    "every": "all",
    **{word: str(value) for value, word in enumerate(_COUNTED.split()) if word != "one"},
    **_TENS,
}
_OTHER_NUMBERS = (
    "hundred thousand million billion half twice second third fourth fifth sixth seventh eighth ninth tenth"
)
_NUMBERS = frozenset(_OTHER_NUMBERS.split())

_NEGATIONS = "not no never none nobody nothing neither nor without cannot"
_DEGREES = (
    "before after above below over under more less fewer least most minimum maximum all only unless except until since"
)
_PRONOUNS = "it he she they its his her their him them this that these those"
_FUNCTIONS = (
    "a about according also am an and any are as at be because been being but by can could did do does each either for "
    "from had has have he her hers him his how however i if in into is it its itself may me might must my of off on "
    "one or our ours out own per s says shall she should so some states such than that the their theirs them then "
    "there therefore these they this those thus to too up upon us was we were what when where whether which while who "
    "whom whose why will with would yes you your yours answer mentions passage passages question"
)
NEGATIONS = frozenset(_NEGATIONS.split())
DEGREE_WORDS = frozenset(_DEGREES.split())
PRONOUNS = frozenset(_PRONOUNS.split())
FUNCTION_WORDS = frozenset(_FUNCTIONS.split()) | NEGATIONS
"""Words that carry no claim of their own, and those by which an answer speaks of its passages."""


@dataclass(frozen=True, slots=True)
class Word:
    """The characters ``start:end`` of a text, as written.

    ``exact`` is in small letters, without a possessive ending, numbers in digits. ``key`` is also without inflection.
    """

    text: str
    start: int
    end: int
    exact: str
    key: str

    @property
    def is_number(self) -> bool:
        """Whether it counts or dates something, in digits or letters."""
        return any(letter.isdigit() for letter in self.exact) or self.exact in _NUMBERS

    @property
    def has_capital(self) -> bool:
        """Whether any letter is a capital."""
        return self.text != self.text.lower()


def split_words(text: str, start: int = 0, end: int | None = None) -> list[Word]:
    """The words of ``text[start:end]``; offsets are those of ``text``."""
    words = []
    for match in _WORD.finditer(text, start, len(text) if end is None else end):
        words.append(Word(match.group(), match.start(), match.end(), *_exact_and_key(match.group())))
    return words


def is_negation(word: Word) -> bool:
    """Whether it turns a sentence round."""
    return word.exact in NEGATIONS or word.exact.endswith(("n't", "n\u2019t"))


@lru_cache(maxsize=20_000)  # the same words come again and again, and taking one apart is most of the work
def _exact_and_key(text: str) -> tuple[str, str]:
    exact = _exact(text)
    return exact, _stem(exact)


def _exact(text: str) -> str:
    lower = text.casefold().removesuffix("'s").removesuffix("\u2019s")
    return _THOUSANDS.sub("", _SAME_WORD.get(lower, lower))


def _stem(word: str) -> str:
    """The word without English inflection. Only ever compared with other stems, so it need not be a word."""
    if any(letter.isdigit() for letter in word):
        return word
    for ending, replacement in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("ly", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + replacement
            break
    return _DOUBLED.sub(r"\1", word.rstrip("e") or word)
