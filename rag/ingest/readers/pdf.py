"""PDF: a section for each page, lines joined into paragraphs again, tables as rows with their column names."""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from pypdf import PageObject, PasswordType, PdfReader
from pypdf.errors import DependencyError, PyPdfError

from rag.errors import UnreadableDocument
from rag.ingest.readers.facts import one_line, sensible_property
from rag.ingest.readers.limits import check_chars
from rag.ingest.readers.losses import numbered
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.pdf_tables import may_hold_table, table_blocks
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
_NUM_EDGE_LINES = 2
_MIN_REPEATS = 3
_MIN_FULL_LINE = 40  # columns of prose are wider; shorter lines are those of forms and tables

_Page = list[tuple[bool, str]]
"""The lines of a page in reading order: whether it stands for itself, as the row of a table does, and the text."""


def read_pdf(raw: RawFile) -> Iterator[Document]:
    """Read ``.pdf``. Pages count from 1; pages without text are listed in the metadata ``pages_without_text``.

    Headers and footers that stand on most pages are kept on the first one only.

    Raises:
        UnreadableDocument: the file is damaged or encrypted, or no page holds text (a scan).
        LimitExceeded: the file or its text is too large.
    """
    _silence_pypdf()
    pages, properties = _read_pages(raw)
    textless = [number for number, page in enumerate(pages, 1) if not any(text for _, text in page)]
    if len(textless) == len(pages):
        raise UnreadableDocument(
            f"{raw.name} holds no text on its pages ({len(pages)}); it seems to be a scan: run text recognition on it."
        )
    builder = TextBuilder(raw)
    builder.lose(
        *numbered("Page", textless, one="has no text; it may be a scan", several="have no text; they may be scans")
    )
    known_words = {word.lower() for page in pages for _, text in page for word in _WORD.findall(text)}
    for number, page in enumerate(_without_running_lines(pages), 1):
        builder.start_page(number)
        for stands_alone, lines in groupby(page, key=itemgetter(0)):
            builder.break_lines()
            if stands_alone:
                for _, line in lines:
                    builder.line(line)
            else:
                builder.paragraph(_join_lines([line for _, line in lines], known_words))
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


def _read_pages(raw: RawFile) -> tuple[list[_Page], dict[str, str | None]]:
    pages: list[_Page] = []
    num_chars = 0
    stream = io.BytesIO(raw.read())
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise UnreadableDocument(f"{raw.name} is encrypted with a password; save it without one first.")
        for page in reader.pages:
            text = _levelled(page.extract_text())
            blocks = table_blocks(text, _layout(page)) if may_hold_table(text) else None
            pages.append(blocks or [(False, line) for line in clean_text(text).split("\n")])
            num_chars += len(text)
            check_chars(num_chars, max_document_chars=raw.limits.max_document_chars, name=raw.name)
        return pages, _properties(reader)
    except DependencyError as error:
        raise UnreadableDocument(f"{raw.name} is encrypted; save it without protection first.") from error
    except PyPdfError as error:
        at_page = f" at page {len(pages) + 1}" if pages else ""
        raise UnreadableDocument(f"{raw.name} is damaged{at_page}: {error}") from error


def _levelled(text: str) -> str:
    return text.replace("\xad\n", "-\n").translate(_LIGATURES)


def _layout(page: PageObject) -> str:
    """The page's text as it is printed; empty where that cannot be found out."""
    try:
        return _levelled(page.extract_text(extraction_mode="layout", layout_mode_space_vertically=True))
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError):
        return ""  # the plain text of the page has been read already


def _without_running_lines(pages: list[_Page]) -> Iterator[_Page]:
    """The pages without the headers and footers that an earlier page has as well, but for the page's number."""
    times = Counter(line for number, page in enumerate(pages, 1) for line in _running_lines(page, number).values())
    num_pages = sum(any(text for _, text in page) for page in pages)
    repeated = {line for line, count in times.items() if count >= max(_MIN_REPEATS, num_pages / 2)}
    seen: set[str] = set()
    for number, page in enumerate(pages, 1):
        running = {i: line for i, line in _running_lines(page, number).items() if line in repeated}
        yield [block for i, block in enumerate(page) if running.get(i) not in seen]
        seen.update(running.values())


def _running_lines(page: _Page, number: int) -> dict[int, str]:
    """What may be header or footer, by its place on the page, with the page's own number left out."""
    filled = [i for i, (_, text) in enumerate(page) if text.strip()]
    places = dict.fromkeys(filled[:_NUM_EDGE_LINES] + filled[-_NUM_EDGE_LINES:])
    return {i: re.sub(rf"\b{number}\b", "#", one_line(page[i][1])) for i in places}


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
