"""DOCX: paragraphs, headings, lists, tables, text boxes and notes in document order."""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import qn

from rag.ingest.readers.docx_styles import ListNumbers, Styles
from rag.ingest.readers.docx_xml import (
    blocks,
    drawings,
    is_data_table,
    num_undescribed_pictures,
    paragraph_text,
    table_cells,
    table_rows,
)
from rag.ingest.readers.drawings import (
    CHART_REFERENCE,
    DIAGRAM_PART,
    DIAGRAM_REFERENCE,
    RELATION,
    Element,
    chart_lines,
    diagram_lines,
)
from rag.ingest.readers.facts import sensible_property
from rag.ingest.readers.losses import counted
from rag.ingest.readers.office_package import read_package
from rag.ingest.readers.outline import TextBuilder
from rag.ingest.readers.raw_file import RawFile
from rag.ingest.readers.tables import header_names, row_line
from rag.records import Document

_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def read_docx(raw: RawFile) -> Iterator[Document]:
    """Read ``.docx``. Page headers and footers, comments, deleted text and tables of contents are left out.

    Raises:
        UnreadableDocument: the file is damaged, password-protected, or holds no text.
        LimitExceeded: the file, unpacked or not, or its text is too large.
    """
    document = docx.Document(io.BytesIO(read_package(raw, kind="DOCX", old_ending=".doc")))
    parts = {
        rel.reltype.rsplit("/", 1)[-1]: rel.target_part for rel in document.part.rels.values() if not rel.is_external
    }
    blocks_writer = _DocxBlocks(
        TextBuilder(raw), _root(parts.get("styles")), _root(parts.get("numbering")), document.part.related_parts
    )
    blocks_writer.add(document.element.body)
    num_lost = num_undescribed_pictures(document.element.body)
    blocks_writer.builder.lose(*counted(num_lost, "image without a description", "passed over"))
    for name in ("footnotes", "endnotes"):
        blocks_writer.add_notes(_root(parts.get(name)))
    properties = document.core_properties
    yield blocks_writer.builder.document(
        title=sensible_property(properties.title),
        media_type=_MEDIA_TYPE,
        metadata={"author": sensible_property(properties.author), "keywords": properties.keywords},
    )


def _root(part: Any) -> Element | None:
    return None if part is None else parse_xml(part.blob)


class _DocxBlocks:
    """Hands the blocks of a document to the builder."""

    def __init__(
        self,
        builder: TextBuilder,
        styles: Element | None,
        numbering: Element | None,
        parts: Mapping[str, Any],
    ) -> None:
        self.builder = builder
        self._parts = parts
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
        self._add_drawings(paragraph)

    def _add_drawings(self, paragraph: Element) -> None:
        """Add the words and numbers of charts and diagrams, which are parts of their own."""
        for drawing in drawings(paragraph):
            for tag, attribute, lines_of in (
                (CHART_REFERENCE, f"{RELATION}id", chart_lines),
                (DIAGRAM_REFERENCE, DIAGRAM_PART, diagram_lines),
            ):
                references = (str(reference.get(attribute)) for reference in drawing.iter(tag))
                for part in filter(None, map(self._parts.get, references)):
                    self.builder.break_lines()
                    for line in lines_of(parse_xml(part.blob)):
                        self.builder.line(line)
                    self.builder.break_lines()

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
