"""Reading PPTX."""

import io
from collections.abc import Callable

import pptx
import pytest
from PIL import Image
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.presentation import Presentation
from pptx.slide import Slide
from pptx.util import Inches

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]
BOX = (Inches(1), Inches(1), Inches(4), Inches(2))


def to_bytes(presentation: Presentation) -> bytes:
    stream = io.BytesIO()
    presentation.save(stream)
    return stream.getvalue()


def add_slide(presentation: Presentation, title: str = "", *paragraphs: tuple[str, int]) -> Slide:
    """A slide with a title and a body of (text, level)."""
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = title
    frame = slide.placeholders[1].text_frame
    for number, (text, level) in enumerate(paragraphs):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    return slide


def png() -> io.BytesIO:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), "red").save(stream, "PNG")
    stream.seek(0)
    return stream


def test_each_slide_is_a_page_under_its_title(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    presentation.core_properties.title, presentation.core_properties.author = "Leave policy", "A B"
    add_slide(presentation, "Days", ("Twenty days", 0), ("five carry over", 1))
    add_slide(presentation, "", ("Untitled words", 0))
    (document,) = read(to_bytes(presentation), "a.pptx")
    assert [(s.page, s.headings, document.text[s.start : s.end]) for s in document.sections] == [
        (1, ("Days",), "Days\n\nTwenty days\n  five carry over"),
        (2, (), "Untitled words"),
    ]
    assert document.title == "Leave policy"
    assert document.metadata == {"author": "A B", "num_slides": 2}
    assert document.media_type.endswith("presentationml.presentation")
    assert document.losses == ()


def test_a_table_becomes_a_line_per_row_with_merged_cells_repeated_below(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    slide = add_slide(presentation, "Table")
    table = slide.shapes.add_table(3, 3, *BOX).table
    for r, texts in enumerate([("Region", "Days:", "Note"), ("North", "5", ""), ("", "7", "x")]):
        for c, text in enumerate(texts):
            table.cell(r, c).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    (document,) = read(to_bytes(presentation), "a.pptx")
    assert document.text == "Table\n\nRegion: North; Days: 5\nRegion: North; Days: 7; Note: x"


def test_shapes_in_groups_are_read(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    group = add_slide(presentation, "Groups").shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "outer"
    group.shapes.add_group_shape().shapes.add_textbox(*BOX).text_frame.text = "inner"
    assert read(to_bytes(presentation), "a.pptx")[0].text == "Groups\n\nouter\n\ninner"


def test_speaker_notes_are_marked_as_notes(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    slide = add_slide(presentation, "Plan", ("Now", 0))
    slide.notes_slide.notes_text_frame.text = "Say why."
    (document,) = read(to_bytes(presentation), "a.pptx")
    assert document.text == "Plan\n\nNow\n\nNotes: Say why."
    assert [s.page for s in document.sections] == [1]


def test_the_numbers_of_a_chart_are_read_with_their_categories(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("Sales", (4.3, 0.1 + 0.2))
    data.add_series("Costs", (1, 2))
    frame = add_slide(presentation, "Chart").shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, data)
    frame.chart.has_title = True
    frame.chart.chart_title.text_frame.text = "By quarter"
    assert read(to_bytes(presentation), "a.pptx")[0].text == (
        "Chart\n\nBy quarter\nQ1; Sales: 4.3; Costs: 1\nQ2; Sales: 0.3; Costs: 2"
    )


def test_descriptions_of_pictures_are_read_and_pictures_without_one_counted(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    slide = add_slide(presentation, "Pictures")
    for description in ("A map of the offices", "photo 1.png", "image1.jpeg", ""):
        picture = slide.shapes.add_picture(png(), *BOX)
        picture._element.nvPicPr.cNvPr.set("descr", description)
    (document,) = read(to_bytes(presentation), "a.pptx")
    assert "A map of the offices" in document.text
    assert "image1.jpeg" not in document.text
    assert document.losses == ("2 images without a description were passed over.",)


def test_slides_without_text_are_among_the_losses(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    for title in ("One", "", ""):
        add_slide(presentation, title)
    assert read(to_bytes(presentation), "a.pptx")[0].losses == ("Slides 2 and 3 have no text.",)


def test_footers_and_slide_numbers_are_left_out(read: ReadAll) -> None:
    presentation = pptx.Presentation()
    slide = add_slide(presentation, "Title", ("text", 0))
    for kind in ("ftr", "sldNum", "dt"):
        box = slide.shapes.add_textbox(*BOX)
        box.text_frame.text = f"noise {kind}"
        properties = box._element.nvSpPr.find("{http://schemas.openxmlformats.org/presentationml/2006/main}nvPr")
        placeholder = properties.makeelement("{http://schemas.openxmlformats.org/presentationml/2006/main}ph")
        placeholder.set("type", kind)
        properties.append(placeholder)
    assert read(to_bytes(presentation), "a.pptx")[0].text == "Title\n\ntext"


def test_a_presentation_without_text_is_refused(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.pptx holds no text"):
        read(to_bytes(pptx.Presentation()), "a.pptx")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive", "PPTX files are ZIP archives, and this is none"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 100, "password-protected or an old .ppt file; save it as plain .pptx"),
    ],
)
def test_a_damaged_or_protected_file_is_refused(read: ReadAll, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data, "a.pptx")
