"""Choosing a reader, refusing what cannot be read, and surviving whatever comes."""

import io
import os
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from rag.config import Settings
from rag.errors import LimitExceeded, UnreadableDocument
from rag.ingest.readers.limits import limits_of
from rag.ingest.readers.registry import READERS, SUPPORTED_ENDINGS, read_bytes, read_file
from rag.records import Document
from rag.text.clean import clean_text
from rag.text.split import split_passages

LIMITS = limits_of(Settings(max_file_bytes=10_000_000, max_document_chars=10_000_000))

ReadAll = Callable[..., list[Document]]


def read_path(path: Path, **changed_limits: int) -> list[Document]:
    return list(read_file(path, limits=limits_of(Settings(**changed_limits))))


def check_offsets(document: Document) -> None:
    """Every character of the text that is not white space lies in exactly one section, and in exactly one passage."""
    assert clean_text(document.text) == document.text != ""
    end_before = 0
    for section in document.sections:
        assert end_before <= section.start < section.end
        assert document.text[end_before : section.start].strip() == ""
        assert document.text[section.start : section.end] == document.text[section.start : section.end].strip()
        end_before = section.end
    assert end_before == len(document.text)
    passages = split_passages(
        document.text, document.sections, count_tokens=lambda texts: [len(t.split()) for t in texts], max_tokens=50
    )
    assert all(p.text == document.text[p.start : p.end] for p in passages)
    assert all(before.end <= after.start for before, after in pairwise(passages))
    assert "".join("".join(p.text.split()) for p in passages) == "".join(document.text.split())


def test_a_file_becomes_a_document_with_its_uri_as_source(tmp_path: Path) -> None:
    path = tmp_path / "leave policy_2024-01.txt"
    path.write_text("Twenty days.\n")
    (document,) = read_path(path)
    assert document.source == document.file == path.as_uri()
    assert document.title == "leave policy 2024-01"
    assert document.text == "Twenty days."
    assert document.media_type == "text/plain"


def test_a_relative_path_gives_an_absolute_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    (document,) = read_path(Path("a.txt"))
    assert document.source == (tmp_path / "a.txt").as_uri()


def test_the_case_of_the_ending_does_not_matter(read: ReadAll) -> None:
    assert read("# Title", "A.MD")[0].title == "Title"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match=r"^gone.txt cannot be read: no such file or directory\.$"):
        read_path(tmp_path / "gone.txt")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(UnreadableDocument, match="not a regular file"):
        read_path(tmp_path / "folder.txt")


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UnreadableDocument, match="not a regular file"):
        read_path(tmp_path / "pipe.txt")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("text")

    def refuse(*_: object, **__: object) -> None:  # tests may run as root, whom no mode keeps out
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableDocument, match="secret.txt cannot be read: permission denied"):
        read_path(path)


@pytest.mark.parametrize(("name", "reason"), [("a.xls", "ending .xls"), ("README", "no ending"), (".txt", "no ending")])
def test_an_unknown_ending_is_refused_with_the_supported_ones(read: ReadAll, name: str, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason) as caught:
        read("text", name)
    assert ".docx, .eml, .htm, .html, .json, .jsonl" in str(caught.value)


@pytest.mark.parametrize("ending", SUPPORTED_ENDINGS)
@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xe2\x80\x8b\n"])
def test_a_file_without_a_word_is_refused(read: ReadAll, ending: str, content: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        read(content, f"a{ending}")


@pytest.mark.parametrize("ending", SUPPORTED_ENDINGS)
def test_a_file_over_the_limit_is_refused(read: ReadAll, tmp_path: Path, ending: str) -> None:
    with pytest.raises(LimitExceeded, match="max_file_bytes"):
        read(b"x" * 101, f"a{ending}", max_file_bytes=100)
    (tmp_path / f"a{ending}").write_bytes(b"x" * 101)
    with pytest.raises(LimitExceeded, match="max_file_bytes"):
        read_path(tmp_path / f"a{ending}", max_file_bytes=100)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "word " * 30),
        ("a.md", "word " * 30),
        ("a.rst", "word " * 30),
        ("a.html", "<p>" + "word " * 30),
        ("a.csv", "h\n" + "word\n" * 30),
        ("a.json", '{"text": "' + "word " * 30 + '"}'),
        ("a.jsonl", '{"text": "' + "word " * 30 + '"}'),
    ],
)
def test_a_text_over_the_limit_is_refused(read: ReadAll, name: str, content: str) -> None:
    with pytest.raises(LimitExceeded, match=f"^{name} .* max_document_chars"):
        read(content, name, max_document_chars=100)
    check_offsets(read(content, name, max_document_chars=400)[0])


@pytest.mark.parametrize("ending", sorted(set(SUPPORTED_ENDINGS) - {".pdf"}))
def test_binary_content_behind_a_text_ending_is_refused(read: ReadAll, ending: str) -> None:
    with pytest.raises(UnreadableDocument):
        read(bytes(range(256)) * 4, f"a{ending}")


def test_what_a_parser_raises_becomes_a_sentence_without_a_traceback(
    read: ReadAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = docx_bytes()

    def burst(*_: object) -> None:
        raise ZeroDivisionError("the parser's\n own reason")

    monkeypatch.setattr("rag.ingest.readers.docx.docx.Document", burst)
    with pytest.raises(UnreadableDocument, match=r"^a.docx is damaged .*: the parser's own reason$"):
        read(content, "a.docx")


def test_an_error_of_the_disk_becomes_a_sentence(read: ReadAll, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("rag.ingest.readers.raw_file.RawFile.read", fail)
    with pytest.raises(UnreadableDocument, match=r"^a.txt cannot be read: input/output error\.$"):
        read("text", "a.txt")


def test_a_path_in_an_uploads_name_is_not_shown(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="^a.txt is empty"):
        read("", "C:\\secret\\..\\a.txt")


def docx_bytes() -> bytes:
    document = docx.Document()
    document.add_heading("Title", 1)
    document.add_paragraph("Text of the paragraph.")
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def pdf_bytes() -> bytes:
    stream = io.BytesIO()
    canvas = Canvas(stream)
    canvas.drawString(72, 700, "Text of the page.")
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def pptx_bytes() -> bytes:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Title"
    slide.placeholders[1].text = "Text of the slide."
    slide.notes_slide.notes_text_frame.text = "Text of the notes."
    stream = io.BytesIO()
    presentation.save(stream)
    return stream.getvalue()


def xlsx_bytes() -> bytes:
    workbook = openpyxl.Workbook()
    for row in [["A report"], [], ["name", "age"], ["Bob", 5], ["Eve", 6.5]]:
        workbook.active.append(row)
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def zip_bytes() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "Text of a file.")
        archive.writestr("b/c.jsonl", '{"text": "a"}\n{"text": "b"}\n')
    return stream.getvalue()


EML = b"""From: A <a@example.org>
Subject: Title
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset=utf-8

Text of the message.
--x
Content-Type: text/csv
Content-Disposition: attachment; filename=a.csv

h
1
--x--
"""

SAMPLES = {
    ".csv": b'name,"age"\nBob;4,5\n"Eve\n x",6\n',
    ".tsv": b"name\tage\nBob\t5\n",
    ".docx": docx_bytes(),
    ".eml": EML,
    ".html": b"<html><title>t</title><main><h1>a</h1><table><tr><th>x<td>y</table><ul><li>z<pre> q\n</main>",
    ".json": b'[{"text": "a b", "title": "t"}, {"x": [1, {"y": null}]}, "s"]',
    ".jsonl": b'{"text": "a b", "title": "t"}\n{"x": [1, {"y": null}]}\n',
    ".md": b"---\ntitle: t\n---\n# a\n- b\n  1. c\n\na|b\n-|-\nc|d\n\n```\n q\n```\n<div>x</div>\n> z **y** [l](u)\n",
    ".pdf": pdf_bytes(),
    ".pptx": pptx_bytes(),
    ".rst": b"Title\n=====\n\n:Author: x\n\nSub\n---\n- a\n",
    ".txt": b"One. Two.\n\n- three\n",
    ".xlsx": xlsx_bytes(),
    ".zip": zip_bytes(),
}


def read_or_refuse(data: bytes, ending: str) -> None:
    try:
        for document in read_bytes(data, name=f"a{ending}", source="upload:a", limits=LIMITS):
            check_offsets(document)
    except (UnreadableDocument, LimitExceeded):
        pass


fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("ending", sorted(set(READERS) - {".htm", ".markdown", ".ndjson", ".text", ".log", ".xlsm"}))
@fuzz
@given(data=st.binary(max_size=400))
def test_random_bytes_are_read_or_refused(ending: str, data: bytes) -> None:
    read_or_refuse(data, ending)


@pytest.mark.parametrize("ending", [".csv", ".eml", ".html", ".json", ".jsonl", ".md", ".rst", ".tsv", ".txt"])
@fuzz
@given(text=st.text(st.one_of(st.characters(), st.sampled_from("#-=|<>/&\"'{}[]:,;\t\n .*_`!()~\u0301\ufeff"))))
@example("\u0338")
@example("<table>\u0338")
def test_odd_unicode_is_read_or_refused(ending: str, text: str) -> None:
    read_or_refuse(text.encode("utf-8", "surrogatepass"), ending)
    read_or_refuse(text.encode("utf-16", "surrogatepass"), ending)


@pytest.mark.parametrize("ending", sorted(SAMPLES))
@fuzz
@given(at=st.floats(0, 1), junk=st.binary(max_size=20), num_cut=st.integers(0, 40))
def test_damaged_files_are_read_or_refused(ending: str, at: float, junk: bytes, num_cut: int) -> None:
    sample = SAMPLES[ending]
    position = int(at * len(sample))
    read_or_refuse(sample[:position] + junk + sample[position + num_cut :], ending)


@pytest.mark.parametrize("ending", sorted(SAMPLES))
def test_a_few_megabytes_without_a_break_are_read_or_refused(ending: str) -> None:
    read_or_refuse(b"x" * 3_000_000, ending)


@pytest.mark.parametrize("ending", sorted(SAMPLES))
def test_the_samples_are_read(ending: str) -> None:
    documents = list(read_bytes(SAMPLES[ending], name=f"a{ending}", source="s", limits=LIMITS))
    assert documents
    for document in documents:
        check_offsets(document)
