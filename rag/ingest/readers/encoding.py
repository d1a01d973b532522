"""From bytes to text, for files that do not say how they are encoded."""

import codecs
import re
import unicodedata
from dataclasses import dataclass

import charset_normalizer

from rag.errors import UnreadableDocument

# The longer marks first: the mark of UTF-32 begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive (as DOCX and XLSX are)"),
    (b"\xd0\xcf\x11\xe0", "an old or password-protected Office file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "an SQLite database"),
)
_DECLARABLE = re.compile(
    r"utf-?8|us-ascii|iso-?8859-\d{1,2}|latin-?\d|windows-\d{3,4}|cp\d{3,4}|koi8-[ru]|macintosh|big5(-hkscs)?"
    r"|gb(k|2312|18030)|shift[_-]jis|sjis|euc-(jp|kr)|iso-2022-jp|tis-620",
    re.IGNORECASE,
)
# What is declared under these names is written in the larger one nearly always, and every browser reads it so (WHATWG,
# Encoding Standard, section 4.2): quotation marks and dashes of Windows would vanish as controls otherwise.
_WIDER = {
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "tis-620": "cp874",
}
# Without UTF-16 and the EBCDIC pages: they make "text" of any bytes at all.
_GUESSABLE = (
    "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859_2 iso8859_15 koi8_r koi8_u mac_roman cp437 "
    "cp850 cp932 euc_jp iso2022_jp gb18030 big5 cp949 euc_kr tis_620"
)
_PRIVATE = re.compile(r"[\ue000-\uf8ff]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")

# How ISO-2022-JP (RFC 1468) turns to Japanese. All its bytes are ASCII, so it would pass for UTF-8.
_JAPANESE_ESCAPE = re.compile(rb"\x1b\$[@B]")
_NO_LETTERS = frozenset(("Cc", "Cn", "Co", "Cs"))

_NUM_SAMPLE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, the name of the encoding that it was in, and how many damaged places of it are now U+FFFD."""

    text: str
    encoding: str
    num_replaced: int = 0

    @property
    def loss(self) -> str:
        """What could not be decoded, as a sentence; empty if nothing."""
        if not self.num_replaced:
            return ""
        places = "place" if self.num_replaced == 1 else "places"
        encoding = self.encoding.removesuffix(_DAMAGED)
        return f"{self.num_replaced:,} {places} could not be decoded as {encoding} and now read U+FFFD."


_DAMAGED = " (damaged)"


def decode_text(data: bytes, *, name: str, declared: str | None = None) -> DecodedText:
    """The text and the name of its encoding (``utf-8`` for plain ASCII too), without a byte order mark.

    Tried in turn: a byte order mark, the zero bytes of UTF-16, the escapes of ISO-2022-JP, UTF-8, what the file
    declares about itself, and the statistics of charset-normalizer. UTF-8 with a few damaged bytes is read as UTF-8
    with U+FFFD in their place, since any other guess would damage all its other letters; the encoding is then
    ``utf-8 (damaged)``.

    Raises:
        UnreadableDocument: the bytes are no text in any encoding that is known.
    """
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            raise UnreadableDocument(f"{name} is not text: by its first bytes it is {kind}; give it the right ending.")
    decoded = _decode(data, name=name, declared=declared)
    text = decoded.text
    if len(_CONTROL.findall(text, 0, _NUM_SAMPLE_BYTES)) * 10 > min(len(text), _NUM_SAMPLE_BYTES):
        raise UnreadableDocument(f"{name} holds binary data, not text.")
    return decoded


def _decode(data: bytes, *, name: str, declared: str | None) -> DecodedText:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return DecodedText(_decode_strictly(data[len(mark) :], encoding, name), encoding)
    unmarked = _unmarked_utf16(data)
    if unmarked:
        return DecodedText(_decode_strictly(data, unmarked, name), unmarked)
    if _JAPANESE_ESCAPE.search(data):
        declared = "iso-2022-jp"
    else:
        try:
            return DecodedText(data.decode("utf-8"), "utf-8")
        except UnicodeDecodeError:
            pass
    if declared and _DECLARABLE.fullmatch(declared):
        declared = declared.lower()
        found = _decode_mostly(data, _WIDER.get(declared, declared), called=declared)
        if found:
            return found
    found = _decode_mostly(data, "utf-8", called="utf-8" + _DAMAGED)
    if found:
        return found
    encoding = _guess_encoding(data, name)
    return DecodedText(_decode_strictly(data, encoding, name), encoding)


def _decode_strictly(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableDocument(
            f"{name} is damaged: byte {error.start + 1:,} is not {encoding}, in which the rest seems to be written."
        ) from error


def _decode_mostly(data: bytes, encoding: str, *, called: str) -> DecodedText | None:
    """The text if at most one in twenty of its letters beyond ASCII is damaged, else None."""
    try:
        text = data.decode(encoding, "replace")
    except LookupError:
        return None
    num_damaged = text.count("\ufffd") - data.count("\ufffd".encode())
    num_beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    num_odd = num_damaged + len(_PRIVATE.findall(text))  # what a wrong encoding of East Asia makes of many bytes
    return DecodedText(text, called, max(num_damaged, 0)) if num_odd * 20 <= num_beyond_ascii else None


def _unmarked_utf16(data: bytes) -> str | None:
    sample = data[:_NUM_SAMPLE_BYTES]
    # Every other byte of Western text in UTF-16 is zero; nothing else looks like that.
    even, odd = sample[::2], sample[1::2]
    if odd.count(0) * 2 > len(odd) and 0 not in even:
        return "utf-16-le"
    if even.count(0) * 2 > len(even) and 0 not in odd:
        return "utf-16-be"
    # In other scripts only line breaks, spaces and digits have one. No other encoding of text has any, and read the
    # wrong way round, such a text is full of characters that do not exist.
    if 0 in sample and len(data) % 2 == 0:
        readings = [encoding for encoding in ("utf-16-le", "utf-16-be") if _is_prose(sample, encoding)]
        if len(readings) == 1:
            return readings[0]
    return None


def _is_prose(sample: bytes, encoding: str) -> bool:
    """Whether all characters exist and most are letters, with the line breaks or spaces of text among them."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)  # the sample may end within a character
    except UnicodeDecodeError:
        return False
    kinds = [unicodedata.category(character) for character in text if character not in "\t\r\n"]
    num_letters = sum(kind[0] == "L" for kind in kinds)
    return not _NO_LETTERS & set(kinds) and num_letters * 2 > len(kinds) and ("\n" in text or " " in text)


def _guess_encoding(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise UnreadableDocument(f"{name} holds binary data, not text.")
    sample = data if len(data) <= _NUM_SAMPLE_BYTES else _sample(data)
    japanese = next((encoding for encoding in ("cp932", "euc_jp") if _is_japanese(sample, encoding)), None)
    if japanese:
        return japanese
    matches = charset_normalizer.from_bytes(sample, cp_isolation=_GUESSABLE.split())
    best = matches.best()
    if best is None:
        raise UnreadableDocument(f"{name} is not text in any known encoding; save it as UTF-8.")
    # Short Western text fits many code pages alike; of those, Windows-1252 is by far the most used.
    as_western = sample.decode("cp1252", "replace")
    for match in matches:
        is_as_good = match.chaos <= best.chaos and match.coherence >= best.coherence
        if is_as_good and str(match) == as_western:
            return "cp1252"
    return best.encoding


def _is_japanese(sample: bytes, encoding: str) -> bool:
    """Whether much of the text is hiragana or katakana, which no other text is when it is read as Japanese."""
    text = sample.decode(encoding, "replace")
    num_beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\ufffd") <= 1 and len(_KANA.findall(text)) * 4 > num_beyond_ascii


def _sample(data: bytes) -> bytes:
    """The lines with bytes beyond ASCII, as many as make a good sample: only they tell encodings apart."""
    lines: list[bytes] = []
    num_bytes = 0
    for match in re.finditer(rb"[^\n]*[\x80-\xff][^\n]*\n?", data):
        lines.append(match.group()[:_NUM_SAMPLE_BYTES])
        num_bytes += len(lines[-1])
        if num_bytes >= _NUM_SAMPLE_BYTES:
            break
    return b"".join(lines)
