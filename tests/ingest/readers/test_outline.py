"""Building a text and its sections."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.config import Settings
from rag.errors import LimitExceeded, UnreadableDocument
from rag.ingest.readers.limits import UnpackingBudget, limits_of
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.records import Document
from rag.text.clean import clean_text


def builder(max_document_chars: int = 1_000) -> TextBuilder:
    limits = limits_of(Settings(max_document_chars=max_document_chars))
    budget = UnpackingBudget(limits)
    return TextBuilder(RawFile(stream=io.BytesIO(), name="a_b.md", uri="file:///a_b.md", limits=limits, budget=budget))


def finish(blocks: TextBuilder) -> Document:
    return blocks.document(title="", media_type="text/plain", metadata={})


def test_headings_open_sections_with_their_path() -> None:
    blocks = builder()
    blocks.paragraph("intro")
    for heading, level in [("A", 1), ("B", 2), ("C", 4), ("D", 2), ("E", 1)]:
        blocks.heading(heading, level=level)
        blocks.paragraph(f"text {heading}")
    document = finish(blocks)
    assert [(s.headings, document.text[s.start : s.end]) for s in document.sections] == [
        ((), "intro"),
        (("A",), "A\n\ntext A"),
        (("A", "B"), "B\n\ntext B"),
        (("A", "B", "C"), "C\n\ntext C"),
        (("A", "D"), "D\n\ntext D"),
        (("E",), "E\n\ntext E"),
    ]


def test_the_title_is_the_outermost_heading_or_else_the_files_name() -> None:
    blocks = builder()
    blocks.heading("Inner", level=2)
    assert finish(blocks).title == "Inner"
    blocks.heading("Outer", level=1)
    blocks.heading("Second", level=1)
    assert finish(blocks).title == "Outer"
    blocks = builder()
    blocks.paragraph("text")
    assert finish(blocks).title == "a b"


def test_a_heading_as_long_as_a_paragraph_is_one() -> None:
    blocks = builder()
    blocks.heading("word " * 100, level=1)
    assert finish(blocks).sections[0].headings == ()


def test_lines_stand_close_and_paragraphs_apart() -> None:
    blocks = builder()
    blocks.paragraph("List:")
    blocks.line("one\n\nmore", marker="- ")
    blocks.line("two\nlines", indent="  ", marker="1. ")
    blocks.break_lines()
    blocks.line("row")
    blocks.paragraph("End.")
    assert finish(blocks).text == "List:\n\n- one\n\n  more\n  1. two\n     lines\n\nrow\n\nEnd."


def test_pages_and_rows_open_sections() -> None:
    blocks = builder()
    for page in (1, 2, 3):
        blocks.start_page(page)
        blocks.paragraph("" if page == 2 else f"page {page}")
    assert [section.page for section in finish(blocks).sections] == [1, 3]


def test_a_text_over_the_limit_is_refused_as_it_grows() -> None:
    blocks = builder(max_document_chars=10)
    blocks.paragraph("1234567")
    with pytest.raises(LimitExceeded, match="max_document_chars"):
        blocks.paragraph("12")


def test_a_document_without_text_is_refused() -> None:
    blocks = builder()
    blocks.heading(" \u200b", level=1)
    blocks.line("", marker="- ")
    with pytest.raises(UnreadableDocument, match="a_b.md holds no text"):
        finish(blocks)


TEXT = st.text(st.one_of(st.characters(), st.sampled_from("a \n\u0338\u0301\ufeff-")))
BLOCK = st.tuples(st.sampled_from(["heading", "paragraph", "line", "item", "page"]), TEXT, st.integers(1, 3))


@given(st.lists(BLOCK, max_size=12))
def test_the_text_is_clean_and_every_character_of_it_in_one_section(blocks: list[tuple[str, str, int]]) -> None:
    text_builder = builder(max_document_chars=1_000_000)
    for kind, text, number in blocks:
        match kind:
            case "heading":
                text_builder.heading(text, level=number)
            case "paragraph":
                text_builder.paragraph(text)
            case "line":
                text_builder.line(text, indent="  " * number)
            case "item":
                text_builder.line(text, indent="  " * number, marker="- ")
            case _:
                text_builder.start_page(number)
    if text_builder.is_empty:
        return
    document = finish(text_builder)
    assert clean_text(document.text) == document.text
    inside = [document.text[s.start : s.end] for s in document.sections]
    assert all(text == text.strip() != "" for text in inside)
    assert "".join("".join(inside).split()) == "".join(document.text.split())
