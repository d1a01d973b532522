"""DOCX: paragraphs, headings, lists, tables, text boxes and notes in document order."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import qn

from rag.errors import LimitExceeded, UnreadableDocument
from rag.ingest.readers.docx_styles import ListNumbers, Styles
from rag.ingest.readers.docx_xml import Element, blocks, is_data_table, paragraph_text, table_cells, table_rows
from rag.ingest.readers.facts import sensible_property
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import header_names, row_line
from rag.records import Document

_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_OLD_OFFICE_SIGNATURE = b"\xd0\xcf\x11\xe0"
_MAX_UNPACKED_SHARE = 4


def read_docx(raw: RawFile) -> Iterator[Document]:
    """Read ``.docx``. Page headers and footers, comments, deleted text and tables of contents are left out.

    Raises:
        UnreadableDocument: the file is damaged, password-protected, or holds no text.
        LimitExceeded: the file, unpacked or not, or its text is too large.
    """
    document = docx.Document(io.BytesIO(_checked_content(raw)))
    parts = {
        rel.reltype.rsplit("/", 1)[-1]: rel.target_part for rel in document.part.rels.values() if not rel.is_external
    }
    blocks_writer = _DocxBlocks(TextBuilder(raw), _root(parts.get("styles")), _root(parts.get("numbering")))
    blocks_writer.add(document.element.body)
    for name in ("footnotes", "endnotes"):
        blocks_writer.add_notes(_root(parts.get(name)))
    properties = document.core_properties
    yield blocks_writer.builder.document(
        title=sensible_property(properties.title),
        media_type=_MEDIA_TYPE,
        metadata={"author": sensible_property(properties.author), "keywords": properties.keywords},
    )


def _checked_content(raw: RawFile) -> bytes:
    data = raw.read()
    if data.startswith(_OLD_OFFICE_SIGNATURE):
        raise UnreadableDocument(f"{raw.name} is password-protected or an old .doc file; save it as plain .docx first.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            num_bytes = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UnreadableDocument(f"{raw.name} is damaged: a DOCX file is a ZIP archive, and this is none.") from error
    # A few kilobytes can unpack to gigabytes; zipfile never unpacks more than the sizes that are summed up here.
    if num_bytes > _MAX_UNPACKED_SHARE * raw.max_file_bytes:
        raise LimitExceeded(
            f"{raw.name} unpacks to {num_bytes:,} bytes, more than {_MAX_UNPACKED_SHARE} times the limit of a file",
            setting="max_file_bytes",
        )
    return data


def _root(part: Any) -> Element | None:
    return None if part is None else parse_xml(part.blob)


class _DocxBlocks:
    """Hands the blocks of a document to the builder."""

    def __init__(self, builder: TextBuilder, styles: Element | None, numbering: Element | None) -> None:
        self.builder = builder
        self._styles = Styles(styles)
        self._numbers = ListNumbers(numbering)

    def add(self, parent: Element) -> None:
        """Add all blocks of a body, a cell or a text box."""
        for block in blocks(parent):
            if block.tag == qn("w:tbl"):
                self._add_table(block)
            else:
                self._add_paragraph(block)

    def add_notes(self, root: Element | None) -> None:
        """Add footnotes or endnotes, under no heading."""
        self.builder.end_headings()
        for note in [] if root is None else root:
            if note.get(qn("w:type")) in (None, "normal"):  # the others are the lines that set notes off
                self.add(note)

    def _add_paragraph(self, paragraph: Element) -> None:
        text, boxes = paragraph_text(paragraph)
        level = self._styles.heading_level(paragraph)
        place = self._styles.list_place(paragraph)
        if not text.strip() or self._styles.is_contents_entry(paragraph):
            pass
        elif level is not None:
            self.builder.heading(text, level=level)
        elif place is not None:
            list_id, list_level = place
            self.builder.line(text, indent="  " * list_level, marker=self._numbers.next_marker(list_id, list_level))
        else:
            self.builder.paragraph(text)
        for box in boxes:
            self.add(box)

    def _add_table(self, table: Element) -> None:
        if not is_data_table(table):
            for cell in table_cells(table):
                self.add(cell)
            return
        header, *rows = table_rows(table)
        names = header_names(header)
        self.builder.break_lines()
        for row in rows:
            self.builder.line(row_line(names, row))
        self.builder.break_lines()
