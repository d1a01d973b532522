"""Small facts about a document: its title and its metadata, made short, clean and scalar."""

import math
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath

from rag.text.clean import clean_text

_MAX_PROPERTY_CHARS = 300
_MAX_FACTS = 50
_MAX_KEY_CHARS = 100
_MAX_VALUE_CHARS = 500
_NUM_DIGITS = 15  # as many as Excel keeps
_MAX_PLAIN_EXPONENT = 25
_MAX_INTEGER = 2**53  # JSON readers agree on integers up to here (RFC 8259, section 6)

_PLACEHOLDER = re.compile(r"\(?(anonymous|unspecified|unknown|none|n/a)\)?|python-docx|openpyxl|title", re.IGNORECASE)
_NO_TITLE = re.compile(
    r"untitled.*|document ?\d*|(word|microsoft word) document|powerpoint presentation"
    r"|microsoft (word|powerpoint|excel) - .*|\S+\.(docx?|pdf|indd|qxd|tmp|dvi|tex|rtf|odt|html?)",
    re.IGNORECASE,
)
_NAME_BREAK = re.compile(r"_|(?<!\d)-|-(?!\d)")


def one_line(text: str) -> str:
    """The text cleaned, on one line."""
    return " ".join(clean_text(text).split())


def sensible_property(value: object) -> str:
    """A title or an author from a file's own properties, or empty if it is what programs write for want of one."""
    line = one_line(value) if isinstance(value, str) else ""
    is_placeholder = _NO_TITLE.fullmatch(line) or _PLACEHOLDER.fullmatch(line)
    return "" if is_placeholder else line[:_MAX_PROPERTY_CHARS].rstrip()


def plain_number(value: float) -> str:
    """A number as people write it: without the digits that binary fractions bring in, and without an exponent."""
    if not math.isfinite(value):
        return str(value)
    shortest = Decimal(f"{value + 0.0:.{_NUM_DIGITS}g}")  # + 0.0: no minus before zero
    return f"{shortest:f}" if abs(shortest.adjusted()) < _MAX_PLAIN_EXPONENT else str(shortest)


def title_from_name(name: str) -> str:
    """A file name made readable: without its ending, its underscores and the hyphens that are not between digits."""
    return one_line(_NAME_BREAK.sub(" ", PurePath(name).stem)) or "Untitled"


def clean_facts(facts: Mapping[str, object]) -> dict[str, str | int | float | bool | None]:
    """What is scalar, short and there, as metadata: at most 50 facts of 500 characters; dates in ISO 8601."""
    cleaned: dict[str, str | int | float | bool | None] = {}
    for key, value in facts.items():
        key = one_line(key)[:_MAX_KEY_CHARS].rstrip()
        scalar = _scalar(value)
        if key and scalar is not None and len(cleaned) < _MAX_FACTS:
            cleaned[key] = scalar
    return cleaned


def _scalar(value: object) -> str | int | float | bool | None:
    if isinstance(value, bool) or (isinstance(value, int) and abs(value) <= _MAX_INTEGER):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float):
        return one_line(str(value))[:_MAX_VALUE_CHARS].rstrip() or None
    return None
