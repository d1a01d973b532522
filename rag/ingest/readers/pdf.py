"""PDF: a section for each page, lines joined into paragraphs again."""

import io
import logging
import re
from collections.abc import Iterator

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, PyPdfError

from rag.errors import UnreadableDocument
from rag.ingest.readers.facts import sensible_property
from rag.ingest.readers.limits import check_chars
from rag.ingest.readers.losses import numbered
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.records import Document
from rag.text.clean import clean_text

# Typeset PDFs write "fi" and its like as one character, under which nobody would search for the word.
_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)
_WORD = re.compile(r"\w+(?:-\w+)*")
_CUT_WORD = re.compile(r"(\w+)-$")
_SMALL_LETTERS = re.compile(r"[^\W\d_]+")
_LIST_ITEM = re.compile(r"(?:[-*+\u2013\u2022\u2023\u25aa\u25cf\u25e6\uf0b7]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s")
_SENTENCE_END = re.compile(r"""[.!?:]["')\u201d\u2019]*$""")
# A line shorter than this share of the page's long lines was ended on purpose, not for lack of room.
_FULL_LINE_SHARE = 0.7
_MIN_FULL_LINE = 40  # columns of prose are wider; shorter lines are those of forms and tables


def read_pdf(raw: RawFile) -> Iterator[Document]:
    """Read ``.pdf``. Pages count from 1; pages without text are listed in the metadata ``pages_without_text``.

    Raises:
        UnreadableDocument: the file is damaged or encrypted, or no page holds text (a scan).
        LimitExceeded: the file or its text is too large.
    """
    _silence_pypdf()
    pages, properties = _read_pages(raw)
    textless = [number for number, page in enumerate(pages, 1) if not page]
    if len(textless) == len(pages):
        raise UnreadableDocument(
            f"{raw.name} holds no text on its pages ({len(pages)}); it seems to be a scan: run text recognition on it."
        )
    builder = TextBuilder(raw)
    builder.lose(
        *numbered("Page", textless, one="has no text; it may be a scan", several="have no text; they may be scans")
    )
    known_words = {word.lower() for page in pages for word in _WORD.findall(page)}
    for number, page in enumerate(pages, 1):
        builder.start_page(number)
        builder.paragraph(_join_lines(page.split("\n"), known_words))
    yield builder.document(
        title=sensible_property(properties["title"]),
        media_type="application/pdf",
        metadata={
            "author": sensible_property(properties["author"]),
            "num_pages": len(pages),
            "pages_without_text": ", ".join(map(str, textless)),
        },
    )


def _silence_pypdf() -> None:
    # pypdf logs each oddity that it repaired; without a handler, logging prints them to the terminal.
    logger = logging.getLogger("pypdf")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


def _read_pages(raw: RawFile) -> tuple[list[str], dict[str, str | None]]:
    pages: list[str] = []
    num_chars = 0
    stream = io.BytesIO(raw.read())
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise UnreadableDocument(f"{raw.name} is encrypted with a password; save it without one first.")
        for page in reader.pages:
            text = page.extract_text().replace("\xad\n", "-\n").translate(_LIGATURES)
            pages.append(clean_text(text))
            num_chars += len(pages[-1])
            check_chars(num_chars, max_document_chars=raw.limits.max_document_chars, name=raw.name)
        return pages, _properties(reader)
    except DependencyError as error:
        raise UnreadableDocument(f"{raw.name} is encrypted; save it without protection first.") from error
    except PyPdfError as error:
        at_page = f" at page {len(pages) + 1}" if pages else ""
        raise UnreadableDocument(f"{raw.name} is damaged{at_page}: {error}") from error


def _properties(reader: PdfReader) -> dict[str, str | None]:
    try:
        info = reader.metadata
        return {"title": info.title, "author": info.author} if info else {"title": None, "author": None}
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError):
        return {"title": None, "author": None}  # a damaged property is no reason to refuse the text


def _join_lines(lines: list[str], known_words: set[str]) -> str:
    lengths = sorted(len(line) for line in lines)
    full_length = max(lengths[len(lengths) * 9 // 10] * _FULL_LINE_SHARE, _MIN_FULL_LINE)
    parts: list[str] = []
    previous = ""
    for line in map(str.strip, lines):
        if previous and line:
            parts.append(_joint(previous, line, full_length))
            if not parts[-1] and not _keeps_hyphen(previous, line, known_words):
                parts[-2] = parts[-2][:-1]
        elif parts:
            parts.append("\n\n")
        parts.append(line)
        previous = line
    return "".join(parts)


def _joint(previous: str, line: str, full_length: float) -> str:
    """What belongs between two lines: nothing within a word, a space within a paragraph, else one or two breaks."""
    if _LIST_ITEM.match(line):
        return "\n"
    if line[0].islower():
        return "" if _CUT_WORD.search(previous) else " "
    if len(previous) >= full_length:
        return " "
    return "\n\n" if _SENTENCE_END.search(previous) else "\n"


def _keeps_hyphen(previous: str, line: str, known_words: set[str]) -> bool:
    """Whether the hyphen at the line's end is part of the word: so if the document has the word with it elsewhere."""
    before, after = _CUT_WORD.search(previous), _SMALL_LETTERS.match(line)
    if not before or not after:
        return True
    head, tail = before[1].lower(), after[0].lower()
    return f"{head}-{tail}" in known_words and head + tail not in known_words
