"""CSV and TSV (RFC 4180 and its many dialects): one document, a section for each row."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rag.errors import UnreadableDocument
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import header_names, row_line
from rag.records import Document

_DELIMITERS = ",;\t|"
_NUM_SAMPLE_CHARS = 20_000
_NUM_SAMPLE_ROWS = 50

_field_limit_lock = Lock()


def read_csv(raw: RawFile) -> Iterator[Document]:
    """Read ``.csv`` or ``.tsv``. The first row holds the column names; data rows count from 1.

    The delimiter is the one of comma, semicolon, tab and bar that cuts the first rows into the most regular table; if
    none is better than it, a comma (in ``.tsv`` a tab). A row may be shorter or longer than the header.

    Raises:
        UnreadableDocument: the file is not text, or has no row below its header.
        LimitExceeded: the file or its text is too large.
    """
    content = raw.read_text()
    is_tsv = raw.name.lower().endswith(".tsv")
    delimiter = _sniff_delimiter(content.text[:_NUM_SAMPLE_CHARS], fallback="\t" if is_tsv else ",")
    builder = TextBuilder(raw)
    builder.lose(*content.losses)
    columns: list[str] | None = None
    num_rows = 0
    with _unlimited_fields(len(content.text)):
        for cells in csv.reader(io.StringIO(content.text, newline=""), delimiter=delimiter):
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = header_names(cells)
                continue
            num_rows += 1
            builder.start_row(num_rows)
            builder.line(row_line(columns, cells))
    if not num_rows:
        raise UnreadableDocument(f"{raw.name} holds no rows below its header.")
    yield builder.document(
        title="",
        media_type="text/tab-separated-values" if is_tsv else "text/csv",
        metadata={"num_rows": num_rows, "columns": ", ".join(filter(None, columns or [])), **content.metadata},
    )


def _sniff_delimiter(sample: str, *, fallback: str) -> str:
    # csv.Sniffer takes letters for delimiters and quadratic time on odd samples.
    if len(sample) == _NUM_SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, best_score = fallback, (0.0, False, 0)
    for delimiter in fallback + _DELIMITERS.replace(fallback, ""):
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        widths = Counter(len(row) for row, _ in zip(rows, range(_NUM_SAMPLE_ROWS), strict=False) if any(row))
        width, num_regular = widths.most_common(1)[0] if widths else (0, 0)
        score = (num_regular / widths.total(), delimiter == fallback, width) if width > 1 else (0.0, False, 0)
        if score > best_score:
            best, best_score = delimiter, score
    return best


@contextmanager
def _unlimited_fields(num_chars: int) -> Iterator[None]:
    """Let a cell be as long as the text. The limit belongs to the whole process, so it is put back afterwards."""
    with _field_limit_lock:
        previous = csv.field_size_limit(max(num_chars, 1))
        try:
            yield
        finally:
            csv.field_size_limit(previous)
