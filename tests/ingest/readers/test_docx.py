"""Reading DOCX."""

import io
import zipfile
from collections.abc import Callable

import docx
import pytest
from docx.document import Document as WordDocument
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from PIL import Image

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]
Layout = Callable[[Document], list[tuple[tuple[str, ...], str]]]


def to_bytes(document: WordDocument) -> bytes:
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def add_xml(document: WordDocument, xml: str) -> None:
    """Put raw WordprocessingML at the end of the body."""
    document.element.body.insert(-1, parse_xml(xml.replace("<w:p>", f"<w:p {nsdecls('w')}>", 1)))


def test_heading_styles_give_the_path(read: ReadAll, layout: Layout) -> None:
    word = docx.Document()
    word.add_heading("Handbook", 0)
    word.add_paragraph("intro")
    word.add_heading("Leave", 1)
    word.add_heading("Sick leave", 2)
    word.add_paragraph("text")
    word.add_heading("Pay", 1)
    (document,) = read(to_bytes(word), "a.docx")
    assert layout(document) == [
        (("Handbook",), "Handbook\n\nintro"),
        (("Handbook", "Leave"), "Leave"),
        (("Handbook", "Leave", "Sick leave"), "Sick leave\n\ntext"),
        (("Handbook", "Pay"), "Pay"),
    ]
    assert document.title == "Handbook"
    assert document.media_type.endswith("wordprocessingml.document")


def test_a_style_based_on_a_heading_is_a_heading(read: ReadAll, layout: Layout) -> None:
    word = docx.Document()
    style = word.styles.add_style("Chapter", 1)
    style.base_style = word.styles["Heading 1"]
    word.add_paragraph("One", style="Chapter")
    assert layout(read(to_bytes(word), "a.docx")[0]) == [(("One",), "One")]


def test_the_documents_own_title_and_author_are_taken(read: ReadAll) -> None:
    word = docx.Document()
    word.core_properties.title, word.core_properties.author = "Leave policy", "A B"
    word.add_heading("Other", 1)
    (document,) = read(to_bytes(word), "a.docx")
    assert document.title == "Leave policy"
    assert document.metadata == {"author": "A B"}


def test_lists_keep_their_marks_and_numbers(read: ReadAll) -> None:
    word = docx.Document()
    word.add_paragraph("Do:")
    for text in ("one", "two"):
        word.add_paragraph(text, style="List Bullet")
    for text in ("three", "four"):
        word.add_paragraph(text, style="List Number")
    assert read(to_bytes(word), "a.docx")[0].text == "Do:\n\n- one\n- two\n1. three\n2. four"


def test_a_table_becomes_a_line_per_row_in_its_place(read: ReadAll) -> None:
    word = docx.Document()
    word.add_paragraph("before")
    table = word.add_table(rows=3, cols=3)
    for row, texts in zip(table.rows, [("Name", "Days:", "Note"), ("Bob", "5", ""), ("Eve", "7", "x\ny")], strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    word.add_paragraph("after")
    assert read(to_bytes(word), "a.docx")[0].text == (
        "before\n\nName: Bob; Days: 5\nName: Eve; Days: 7; Note: x y\n\nafter"
    )


def test_merged_cells_keep_the_others_under_their_columns(read: ReadAll) -> None:
    word = docx.Document()
    table = word.add_table(rows=3, cols=3)
    for r, texts in enumerate([("A", "B", "C"), ("x", "1", "2"), ("", "3", "")]):
        for c, text in enumerate(texts):
            table.cell(r, c).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    table.cell(2, 1).merge(table.cell(2, 2))
    assert read(to_bytes(word), "a.docx")[0].text == "A: x; B: 1; C: 2\nA: x; B: 3"


def test_a_table_that_arranges_a_page_is_read_as_the_blocks_in_it(read: ReadAll, layout: Layout) -> None:
    word = docx.Document()
    cell = word.add_table(rows=1, cols=1).cell(0, 0)
    cell.text = "Boxed"
    cell.add_paragraph("more")
    assert layout(read(to_bytes(word), "a.docx")[0]) == [((), "Boxed\n\nmore")]


def test_inserted_text_links_breaks_and_controls_are_read_and_deleted_text_is_not(read: ReadAll) -> None:
    word = docx.Document()
    add_xml(
        word,
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:hyperlink><w:r><w:t> link</w:t></w:r></w:hyperlink>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r></w:p>",
    )
    add_xml(
        word,
        f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt>",
    )
    assert read(to_bytes(word), "a.docx")[0].text == "a\tb\nnew link\n\ncontrol"


def test_the_text_of_a_text_box_follows_its_paragraph_once(read: ReadAll) -> None:
    word = docx.Document()
    box = "<w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>"
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    add_xml(
        word,
        f"<w:p {nsdecls('w')} {mc}><w:r><w:t>text</w:t><mc:AlternateContent><mc:Choice Requires='wps'>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>",
    )
    assert read(to_bytes(word), "a.docx")[0].text == "text\n\nboxed"


def test_footnotes_are_read_under_no_heading(read: ReadAll, layout: Layout) -> None:
    word = docx.Document()
    word.add_heading("Title", 1)
    notes = (
        f"<w:footnotes {nsdecls('w')}><w:footnote w:type='separator' w:id='0'><w:p><w:r><w:t>---</w:t></w:r></w:p>"
        "</w:footnote><w:footnote w:id='1'><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>"
    )
    part = docx.opc.part.Part(
        docx.opc.packuri.PackURI("/word/footnotes.xml"), "application/xml", notes.encode(), word.part.package
    )
    word.part.relate_to(part, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes")
    assert layout(read(to_bytes(word), "a.docx")[0]) == [(("Title",), "Title"), ((), "A note.")]


def test_the_table_of_contents_is_left_out(read: ReadAll) -> None:
    word = docx.Document()
    word.styles.add_style("toc 1", 1)
    word.add_paragraph("Leave .... 3", style="toc 1")
    word.add_paragraph("text")
    assert read(to_bytes(word), "a.docx")[0].text == "text"


def add_picture(word: WordDocument, description: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2)).save(stream, "PNG")
    stream.seek(0)
    word.add_picture(stream)
    list(word.element.body.iter(qn("wp:docPr")))[-1].set("descr", description)


def test_descriptions_of_pictures_are_read_and_pictures_without_one_counted(read: ReadAll) -> None:
    word = docx.Document()
    word.add_paragraph("text")
    for description in ("", "logo.png", "A map of the offices"):
        add_picture(word, description)
    (document,) = read(to_bytes(word), "a.docx")
    assert document.text == "text\n\nA map of the offices"
    assert document.losses == ("2 images without a description were passed over.",)


def test_the_numbers_of_a_chart_are_read(read: ReadAll) -> None:
    word = docx.Document()
    word.add_paragraph("before")
    chart_namespace = "http://schemas.openxmlformats.org/drawingml/2006/chart"
    points = "".join(f"<c:pt idx='{i}'><c:v>{v}</c:v></c:pt>" for i, v in enumerate((4.3, 0.30000000000000004)))
    names = "".join(f"<c:pt idx='{i}'><c:v>{v}</c:v></c:pt>" for i, v in enumerate(("Q1", "Q2")))
    chart = (
        f"<c:chartSpace xmlns:c='{chart_namespace}'><c:chart><c:plotArea><c:barChart><c:ser><c:tx><c:strRef>"
        "<c:strCache>"
        f"<c:pt idx='0'><c:v>Sales</c:v></c:pt></c:strCache></c:strRef></c:tx><c:cat><c:strRef><c:strCache>{names}"
        f"</c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache>{points}</c:numCache></c:numRef></c:val></c:ser>"
        "</c:barChart></c:plotArea></c:chart></c:chartSpace>"
    )
    part = docx.opc.part.Part(
        docx.opc.packuri.PackURI("/word/charts/chart1.xml"), "application/xml", chart.encode(), word.part.package
    )
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    reference = word.part.relate_to(part, f"{relation}/chart")
    add_xml(
        word,
        f"<w:p><w:r><w:drawing><c:chart xmlns:c='{chart_namespace}' xmlns:r='{relation}' r:id='{reference}'/>"
        "</w:drawing></w:r></w:p>",
    )
    word.add_paragraph("after")
    assert read(to_bytes(word), "a.docx")[0].text == "before\n\nQ1; Sales: 4.3\nQ2; Sales: 0.3\n\nafter"


def test_a_document_without_text_is_refused(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.docx holds no text"):
        read(to_bytes(docx.Document()), "a.docx")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive", "DOCX files are ZIP archives, and this is none"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 100, "password-protected or an old .doc file"),
        (to_bytes(docx.Document())[:-100], "ZIP archives"),
    ],
)
def test_a_damaged_or_protected_file_is_refused(read: ReadAll, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data, "a.docx")


def test_another_kind_of_archive_is_refused(read: ReadAll) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(UnreadableDocument, match="a.docx is damaged or not what its ending says"):
        read(stream.getvalue(), "a.docx")


def test_powers_and_fractions_of_equations_are_marked(read: ReadAll) -> None:
    word = docx.Document()
    math = "http://schemas.openxmlformats.org/officeDocument/2006/math"
    power = "<m:sSup><m:e><m:r><m:t>10</m:t></m:r></m:e><m:sup><m:r><m:t>-6</m:t></m:r></m:sup></m:sSup>"
    add_xml(word, f"<w:p><w:r><w:t>It is </w:t></w:r><m:oMath xmlns:m='{math}'>{power}</m:oMath></w:p>")
    assert read(to_bytes(word), "a.docx")[0].text == "It is 10^(-6)"
