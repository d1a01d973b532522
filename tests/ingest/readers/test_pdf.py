"""Reading PDF."""

import io
import logging
import re
from collections.abc import Callable, Sequence

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from rag.errors import LimitExceeded, UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]


def make_pdf(*pages: Sequence[str], title: str | None = None, author: str | None = None) -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream)
    if title:
        canvas.setTitle(title)
    if author:
        canvas.setAuthor(author)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 750 - 14 * number, line)
        canvas.rect(10, 10, 5, 5)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def encrypt(data: bytes, password: str) -> bytes:
    writer = PdfWriter(PdfReader(io.BytesIO(data)))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def test_each_page_is_a_section(read: ReadAll) -> None:
    (document,) = read(make_pdf(["Page one."], [], ["Page three."], title="Annual report", author="A B"), "x_y.pdf")
    assert [(s.page, document.text[s.start : s.end]) for s in document.sections] == [
        (1, "Page one."),
        (3, "Page three."),
    ]
    assert document.title == "Annual report"
    assert document.media_type == "application/pdf"
    assert document.metadata == {"author": "A B", "num_pages": 3, "pages_without_text": "2"}
    assert document.losses == ("Page 2 has no text; it may be a scan.",)


def test_a_title_that_nobody_gave_is_not_taken(read: ReadAll) -> None:
    (document,) = read(make_pdf(["text"]), "annual_report.pdf")
    assert document.title == "annual report"
    assert document.metadata == {"num_pages": 1}


def test_wrapped_lines_are_joined_and_paragraphs_kept_apart(read: ReadAll) -> None:
    lines = [
        "Every employee has twenty days of paid leave in each year, and can",
        "carry five of them over into the next year if the manager has agre-",
        "ed. A well-known exception holds for all who work part-time: a well-",
        "known form is needed.",
        "Sick leave is another matter, and is not counted in those twenty days.",
        "Bring",
        "1. the form",
        "2. the note",
    ]
    (document,) = read(make_pdf(lines), "a.pdf")
    assert document.text.split("\n") == [
        "Every employee has twenty days of paid leave in each year, and can carry five of them over into the next "
        "year if the manager has agreed. A well-known exception holds for all who work part-time: a well-known form "
        "is needed.",
        "",
        "Sick leave is another matter, and is not counted in those twenty days. Bring",
        "1. the form",
        "2. the note",
    ]


def test_short_lines_of_a_form_stay_lines(read: ReadAll) -> None:
    assert read(make_pdf(["Name Gabriel Diaz", "Phone 425 111", "Color White"]), "a.pdf")[0].text == (
        "Name Gabriel Diaz\nPhone 425 111\nColor White"
    )


def test_a_scan_is_refused_with_advice(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match=r"holds no text on its pages \(2\); it seems to be a scan"):
        read(make_pdf([], []), "a.pdf")


def test_a_pdf_that_needs_a_password_is_refused(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.pdf is encrypted"):
        read(encrypt(make_pdf(["text"]), "secret"), "a.pdf")


def test_a_pdf_that_is_only_protected_from_changes_is_read(read: ReadAll) -> None:
    assert read(encrypt(make_pdf(["text"]), ""), "a.pdf")[0].text == "text"


@pytest.mark.parametrize("data", [b"no pdf", b"%PDF-1.4", b"%PDF-1.4\n%%EOF", make_pdf(["text"])[:200]])
def test_a_damaged_pdf_is_refused(read: ReadAll, data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="a.pdf is damaged"):
        read(data, "a.pdf")


def test_more_text_than_allowed_is_refused_page_by_page(read: ReadAll) -> None:
    with pytest.raises(LimitExceeded, match="max_document_chars"):
        read(make_pdf(*(["some text"] for _ in range(20))), "a.pdf", max_document_chars=50)


def test_what_the_parser_logs_reaches_nobody(read: ReadAll, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (document,) = read(re.sub(rb"startxref\s+\d+", b"startxref\n5", make_pdf(["text"])), "a.pdf")
    assert document.text == "text"
    assert caplog.records == []
