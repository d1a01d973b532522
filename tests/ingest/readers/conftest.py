"""What the tests of all readers share."""

from collections.abc import Callable

import pytest

from rag.config import Settings
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.raw_file import NO_FIELDS, FieldNames
from rag.ingest.readers.registry import read_bytes
from rag.records import Document, Section

ReadAll = Callable[..., list[Document]]
Layout = Callable[[Document], list[tuple[tuple[str, ...], str]]]


@pytest.fixture(scope="session")
def read() -> ReadAll:
    """``read(content, name)``: the documents of an upload. Further options are limits by name."""

    def read_all(
        content: str | bytes, name: str, *, fields: FieldNames = NO_FIELDS, **changed_limits: int
    ) -> list[Document]:
        data = content.encode() if isinstance(content, str) else content
        limits = limits_of(Settings(**changed_limits))
        return list(read_bytes(data, name=name, source=f"upload:{name}", limits=limits, fields=fields))

    return read_all


@pytest.fixture(scope="session")
def layout() -> Layout:
    """``layout(document)``: the headings and the text of each section."""

    def headings_and_text(document: Document) -> list[tuple[tuple[str, ...], str]]:
        def text_of(section: Section) -> str:
            return document.text[section.start : section.end]

        return [(section.headings, text_of(section)) for section in document.sections]

    return headings_and_text
