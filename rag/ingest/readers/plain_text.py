"""Plain text: one section, line breaks as they are."""

from collections.abc import Iterator

from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.records import Document


def read_plain_text(raw: RawFile) -> Iterator[Document]:
    """Read ``.txt``, ``.text`` or ``.log``; the title comes from the file's name.

    Raises:
        UnreadableDocument: the file is not text, or empty.
        LimitExceeded: the file or its text is too large.
    """
    content = raw.read_text()
    builder = TextBuilder(raw)
    builder.lose(*content.losses)
    builder.paragraph(content.text)
    yield builder.document(title="", media_type="text/plain", metadata=content.metadata)
