"""Office files that are made to do harm."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping

import docx
import openpyxl
import pptx
import pytest

from rag.errors import LimitExceeded, UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]

LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


def package(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "docx":
        word = docx.Document()
        word.add_paragraph("WORD")
        word.save(stream)
    elif kind == "pptx":
        presentation = pptx.Presentation()
        presentation.slides.add_slide(presentation.slide_layouts[1]).shapes.title.text = "WORD"
        presentation.save(stream)
    else:
        workbook = openpyxl.Workbook()
        workbook.active.append(["WORD"])
        workbook.save(stream)
    return stream.getvalue()


MAIN_PARTS = {"docx": "word/document.xml", "pptx": "ppt/slides/slide1.xml", "xlsx": "xl/worksheets/sheet1.xml"}


def changed(data: bytes, parts: Mapping[str, bytes]) -> bytes:
    """The package with these parts in place of its own, or added."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, parts.get(member.filename, old.read(member)))
        for name in parts.keys() - set(old.namelist()):
            new.writestr(name, parts[name])
    return stream.getvalue()


def part(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name)


@pytest.mark.parametrize("kind", sorted(MAIN_PARTS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_grow_without_end_are_refused(read: ReadAll, kind: str, encoding: str) -> None:
    data = package(kind)
    xml = part(data, MAIN_PARTS[kind]).decode()
    body = xml.partition("?>")[2] if xml.startswith("<?xml") else xml
    laughing = (f'<?xml version="1.0" encoding="{encoding}"?>{LAUGHS}' + body.replace("WORD", "&j;")).encode(encoding)
    with pytest.raises(UnreadableDocument, match="declares XML entities"):
        read(changed(data, {MAIN_PARTS[kind]: laughing}), f"a.{kind}")


@pytest.mark.parametrize("kind", sorted(MAIN_PARTS))
def test_a_part_that_unpacks_a_thousandfold_is_refused_before_it_is_unpacked(read: ReadAll, kind: str) -> None:
    data = changed(package(kind), {"media/huge.xml": b" " * 60_000_000})
    assert len(data) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match="unpacks to more than 200 times its size.* max_compression_ratio"):
            read(data, f"a.{kind}")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", sorted(MAIN_PARTS))
def test_more_than_may_be_unpacked_is_refused(read: ReadAll, kind: str) -> None:
    data = changed(package(kind), {"media/large.xml": b" " * 900_000})
    with pytest.raises(LimitExceeded, match="unpacks to more than 500,000 bytes.* max_archive_bytes"):
        read(data, f"a.{kind}", max_archive_bytes=500_000)


def test_a_part_that_lies_about_its_size_is_refused(read: ReadAll) -> None:
    data = changed(package("docx"), {"media/huge.xml": b" " * 60_000_000})
    lying = data.replace((60_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != data
    with pytest.raises(UnreadableDocument, match="a.docx is damaged"):
        read(lying, "a.docx")


def test_more_parts_than_allowed_are_refused(read: ReadAll) -> None:
    with pytest.raises(LimitExceeded, match="a.docx holds more than 5 files.* max_archive_members"):
        read(package("docx"), "a.docx", max_archive_members=5)
