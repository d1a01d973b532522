"""What the tests of all readers share."""

from collections.abc import Callable

import pytest

from rag.ingest.readers.registry import read_bytes
from rag.records import Document, Section

ReadAll = Callable[..., list[Document]]
Layout = Callable[[Document], list[tuple[tuple[str, ...], str]]]


@pytest.fixture(scope="session")
def read() -> ReadAll:
    """``read(content, name)``: the documents of an upload."""

    def read_all(
        content: str | bytes, name: str, *, max_file_bytes: int = 10_000_000, max_document_chars: int = 10_000_000
    ) -> list[Document]:
        data = content.encode() if isinstance(content, str) else content
        return list(
            read_bytes(
                data,
                name=name,
                source=f"upload:{name}",
                max_file_bytes=max_file_bytes,
                max_document_chars=max_document_chars,
            )
        )

    return read_all


@pytest.fixture(scope="session")
def layout() -> Layout:
    """``layout(document)``: the headings and the text of each section."""

    def headings_and_text(document: Document) -> list[tuple[tuple[str, ...], str]]:
        def text_of(section: Section) -> str:
            return document.text[section.start : section.end]

        return [(section.headings, text_of(section)) for section in document.sections]

    return headings_and_text
