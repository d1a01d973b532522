"""One form for all text before it is stored, and the hash that finds exact duplicates."""

import hashlib
import re
import unicodedata
from functools import cache
from typing import Literal

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls; those that break a line become \n instead
    r"\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # soft hyphen, zero width, direction
    r"\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"  # non-characters, lone surrogates, invisible tags
)
_LINE_BREAK = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ODD_SPACE = re.compile(r"[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_BLANK_LINES = re.compile(r"\n{3,}")

_ASTRAL = re.compile(r"[\U00010000-\U0001ffff]")
_MAX_MARKS = 30


def clean_text(raw: str) -> str:
    """The same text in the one form that is stored: what people see, and nothing that they do not.

    Unicode NFC; ``\\n`` for every kind of line break; plain spaces for all kinds of space; no controls but newline and
    tab, no lone surrogates, soft hyphens, byte order marks, zero-width spaces or direction marks; no space at line
    ends; at most one blank line in a row; no space at the ends. The whitespace that is left is space, tab and newline.
    The two zero-width *joiners* stay: they spell words in Persian and Hindi. Cleaning twice changes nothing more.
    """
    if raw.isascii() and raw.isprintable():
        return raw.strip()
    text = _LINE_BREAK.sub("\n", _INVISIBLE.sub("", raw))
    text = _normalize("NFC", _ODD_SPACE.sub(" ", text))
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()


def normalized_sha256(text: str) -> str:
    """SHA-256 (hex) of the text in the form that decides whether two documents are exact duplicates.

    Only what cannot change the meaning is levelled: compatibility forms (NFKC) and the amount of whitespace. Case and
    punctuation are kept, since "US" is not "us" and "1.5" is not "15": only identical text is a duplicate, and text
    that merely resembles it is for the near-duplicate search.
    """
    normalized = " ".join(_normalize("NFKC", text).split())
    return hashlib.sha256(normalized.encode("utf-8", "surrogatepass")).hexdigest()


def _normalize(form: Literal["NFC", "NFKC"], text: str) -> str:
    # CPython sorts the marks on one letter in quadratic time, so a file of nothing but marks would hang it. Unicode's
    # Stream-Safe Text Format (UAX #15, section 13) says that no natural text has more than 30; the rest is cut off.
    # Normalising can take one character apart into several marks, hence the second cut.
    if text.isascii():
        return text
    return _cut_marks(unicodedata.normalize(form, _cut_marks(text)))


def _cut_marks(text: str) -> str:
    return _surplus_marks(_ASTRAL.search(text) is not None).sub(r"\1", text)


@cache
def _surplus_marks(with_astral: bool) -> re.Pattern[str]:
    # Every character with a combining class above zero lies below U+20000. ``re`` looks a class up in one step only
    # while it stays below U+10000, and skips fast to the first mark only when a class stands alone in front.
    end = 0x20000 if with_astral else 0x10000
    marks = "".join(chr(code) for code in range(0x300, end) if unicodedata.combining(chr(code)))
    return re.compile(f"([{marks}][{marks}]{{{_MAX_MARKS - 1}}})[{marks}]+")
