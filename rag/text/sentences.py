"""Where sentences begin and end, by rules alone: no model, no language setting, time linear in the text.

In the line of Grefenstette and Tapanainen, "What is a word, what is a sentence?" (1994): a full stop is the end unless
what stands before it (an abbreviation, an initial) and after it (a small letter, a number) say otherwise.
"""

import re
from collections.abc import Iterator

# Possessive quantifiers (``++``, ``*+``) never step back, so that a million full stops cost a million steps.
_TERMINATOR = re.compile(
    r"""(?P<marks>[.!?\u2026\u203c\u2047-\u2049]++|(?P<wide>[\u3002\uff01\uff0e\uff1f\uff61\u0964\u06d4]++))"""
    r"""[)\]}"'\u2019\u201d\u00bb\u203a\u300b\u300d\u300f\uff09]*+"""
    r"""(?:\[[\w ,-]{1,12}\])*+"""  # footnote marks: "... in 1905.[12] Then ..."
)
_NEXT_WORD = re.compile(r"""\s*+[(\[{"'\u2018\u201c\u00ab\u2039*_`]*+(?P<word>\w{0,20})""")
_LIST_ITEM = re.compile(r"[ \t]*+(?:[-*+\u2022\u2023\u25e6\u2013]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])[ \t]")
_FIELD = re.compile(r"[ \t]*+[^\W_][^:;.\n]{0,60}:(?:[ \t]|$)")
_ENUMERATOR = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})")

_TITLES = "dr mr mrs ms messrs mx prof hon st ste gen col sgt capt lt cmdr maj adm gov sen rep pres supt det insp mt ft"
_REFERENCES = (
    "e.g i.e eg ie cf viz vs v approx resp incl excl fig figs eq eqs sec sect ch chap vol vols tab ref refs pp ca"
)
_NUMBERED = "no nos nr art arts p para paras ver rev app est jan feb mar apr jun jul aug sep sept oct nov dec"
_NAME_ENDS = "al inc ltd co corp llc plc bros jr sr dept univ assn ave blvd rd bldg ext tel ph.d"
_FIRST_WORDS = (
    "a after all also although an and any as at because before both but by can do does each even every finally first "
    "for from has have he her his how however i if in is it its let many more most my no nor not now of on once one "
    "only or other our please see she since so some such that the their then there these they this those though to "
    "under unless until use was we were what when where whether which while who why with without you your"
)
# Never the end: a name, a number or a quotation follows.
_BEFORE_NAME = frozenset(_TITLES.split() + _REFERENCES.split())
# The end, unless a number follows: "No. 5", "Jan. 3", "p. 12".
_BEFORE_NUMBER = frozenset(_NUMBERED.split())
# The end only if the next word opens sentences.
_EITHER_WAY = frozenset(_NAME_ENDS.split())
_OPENERS = frozenset(_FIRST_WORDS.split())
_OPENING = "([{\"'\u2018\u201c\xab*_`/"
_LONGEST_WORD = 24


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of ``text`` as ``(start, end)``: ascending, apart, trimmed, and together every non-space character.

    A blank line, a line that opens a list item and a line among others of the form ``Name: value`` end the sentence
    before them. Within such a block a sentence ends at a full stop, question mark, exclamation mark or ellipsis (with
    the quotes, brackets and footnote marks that follow it) before white space, and at the full stops of Chinese,
    Japanese and Hindi anywhere. Abbreviations ("Dr.", "e.g.", "Fig. 3", "U.S."), initials ("J. R. Smith"), list
    numbers ("1.") and a small letter after the stop keep a sentence together.
    """
    spans = []
    for block_start, block_end in _blocks(text):
        start = block_start
        for end in _sentence_ends(text, block_start, block_end):
            spans.append(_trim(text, start, end))
            start = end
        spans.append(_trim(text, start, block_end))
    return [(start, end) for start, end in spans if start < end]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Stretches that no sentence crosses, by looking at the lines only."""
    block_start = line_start = 0
    was_field = False
    for line in text.split("\n"):
        is_field = _FIELD.match(line) is not None
        if not line or line.isspace() or (is_field and was_field) or _LIST_ITEM.match(line):
            yield block_start, line_start
            block_start = line_start
        was_field = is_field
        line_start += len(line) + 1
    yield block_start, len(text)


def _sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    sentence_start = start
    for match in _TERMINATOR.finditer(text, start, end):
        if match["wide"] or _ends_sentence(text, match, sentence_start, end):
            sentence_start = match.end()
            yield sentence_start


def _ends_sentence(text: str, match: re.Match[str], sentence_start: int, block_end: int) -> bool:
    after = match.end()
    if after == block_end:
        return True
    if not text[after].isspace():
        return False
    next_match = _NEXT_WORD.match(text, after, block_end)
    next_word = next_match["word"] if next_match else ""
    if next_word[:1].islower():
        return False
    if match.group() != ".":
        return True
    stop = match.start()
    if _ENUMERATOR.fullmatch(text[sentence_start:stop].strip() if stop - sentence_start < _LONGEST_WORD else ""):
        return False
    return _stop_ends_sentence(_word_before(text, stop, sentence_start), next_word)


def _word_before(text: str, stop: int, sentence_start: int) -> str:
    words = text[max(sentence_start, stop - _LONGEST_WORD) : stop].split()
    if not words or text[stop - 1].isspace():
        return ""
    return words[-1].lstrip(_OPENING)


def _stop_ends_sentence(word: str, next_word: str) -> bool:
    lower = word.lower()
    if lower in _BEFORE_NAME:
        return False
    if lower in _BEFORE_NUMBER:
        return not next_word[:1].isdigit()
    is_initial = len(word) == 1 and word.isupper() and word != "I"
    if is_initial or lower in _EITHER_WAY or _is_dotted(word):
        return not next_word or next_word.lower() in _OPENERS
    return True


def _is_dotted(word: str) -> bool:
    """True of "U.S", "a.m" and "J.R", not of "3.14" or "example.org"."""
    parts = word.split(".")
    return len(parts) > 1 and all(len(part) == 1 and part.isalpha() for part in parts)
