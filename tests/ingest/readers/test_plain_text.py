"""Reading plain text."""

from collections.abc import Callable

import pytest

from rag.records import Document, Section

ReadAll = Callable[..., list[Document]]


@pytest.mark.parametrize("ending", ["txt", "text", "log"])
def test_plain_text_is_one_section_with_its_lines_kept(read: ReadAll, ending: str) -> None:
    (document,) = read("First line\r\n  second\n\n\n\nthird", f"my_notes.{ending}")
    assert document.text == "First line\n  second\n\nthird"
    assert document.sections == (Section(start=0, end=len(document.text)),)
    assert document.title == "my notes"
    assert document.metadata == {}


def test_an_encoding_other_than_utf_8_is_noted(read: ReadAll) -> None:
    (document,) = read("déjà vu".encode("utf-16"), "a.txt")
    assert document.text == "déjà vu"
    assert document.metadata == {"encoding": "utf-16-le"}
