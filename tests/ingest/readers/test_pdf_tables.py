"""Tables and running headers on the pages of a PDF."""

import io
from collections.abc import Callable, Sequence

import pytest
from reportlab.pdfgen.canvas import Canvas

from rag.ingest.readers.pdf_tables import table_blocks
from rag.records import Document

ReadAll = Callable[..., list[Document]]
COLUMNS = (60, 180, 260, 340)


def make_pdf(*pages: Sequence[str | Sequence[str]]) -> bytes:
    """Lines are drawn from the top; a line of several cells in columns, cell by cell, as print programs do."""
    stream = io.BytesIO()
    canvas = Canvas(stream)
    for lines in pages:
        for number, line in enumerate(lines):
            cells = (line,) if isinstance(line, str) else line
            for x, cell in zip(COLUMNS, cells, strict=False):
                if cell:
                    canvas.drawString(x, 780 - 16 * number, cell)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def test_a_row_of_a_table_repeats_the_names_of_its_columns(read: ReadAll) -> None:
    data = make_pdf(
        [
            "Stock of the warehouse",
            ("Product", "Place", "Expected", "Found"),
            ("Screws", "A-12", "450", "448"),
            ("Nails", "", "300", ""),
            ("", "B-07", "", "12"),
            "All was counted twice.",
        ]
    )
    assert read(data, "a.pdf")[0].text.split("\n") == [
        "Stock of the warehouse",
        "",
        "Product: Screws; Place: A-12; Expected: 450; Found: 448",
        "Product: Nails; Expected: 300",
        "Place: B-07; Found: 12",
        "",
        "All was counted twice.",
    ]


def test_cells_left_of_all_names_name_their_row(read: ReadAll) -> None:
    data = make_pdf(
        ["Costs", ("", "Hours", "Rate", "Cost"), ("Body labour", "2", "150", "300"), ("Tax", "", "10%", "30")]
    )
    assert (
        read(data, "a.pdf")[0].text == "Costs\n\nBody labour; Hours: 2; Rate: 150; Cost: 300\nTax; Rate: 10%; Cost: 30"
    )


def test_a_cell_of_two_lines_is_one(read: ReadAll) -> None:
    data = make_pdf(
        ["Films", ("No", "Title", "Shows", "Sum"), ("1", "Owls", "12", "$5"), ("", "(142 min)"), ("2", "x", "3", "$4")]
    )
    assert read(data, "a.pdf")[0].text.split("\n")[2:] == [
        "No: 1; Title: Owls (142 min); Shows: 12; Sum: $5",
        "No: 2; Title: x; Shows: 3; Sum: $4",
    ]


def test_a_form_is_no_table(read: ReadAll) -> None:
    lines = [("Name", "Bob", "Year", "2022"), ("Phone", "425", "Make", "Jeep"), ("Home", "City", "State", "Zip"), "End"]
    assert read(make_pdf(lines), "a.pdf")[0].text.replace("\n\n", "\n") == (
        "Name\nBob\nYear\n2022\nPhone\n425\nMake\nJeep\nHome\nCity\nState\nZip\nEnd"
    )


def test_three_columns_of_prose_are_no_table() -> None:
    prose = "\n".join("the owls of the north   wade in waters that    are shallow and warm" for _ in range(9))
    assert table_blocks(prose, prose) is None


def test_a_layout_that_lost_or_tore_a_word_is_not_trusted() -> None:
    layout = "Product   Place   Found\nScrews    A       448"
    assert table_blocks("Product Place Found Screws A 448", layout) == [(True, "Product: Screws; Place: A; Found: 448")]
    assert table_blocks("Product Place Found Screws A 449", layout) is None


def test_headers_and_footers_are_kept_once_and_page_numbers_told(read: ReadAll) -> None:
    pages = [["Handbook of the team", f"Words of the page {word}.", f"Page {i}"] for i, word in enumerate("abcd", 1)]
    (document,) = read(make_pdf(*pages), "a.pdf")
    assert [" ".join(document.text[s.start : s.end].split()) for s in document.sections] == [
        "Handbook of the team Words of the page a. Page 1",
        "Words of the page b.",
        "Words of the page c.",
        "Words of the page d.",
    ]


@pytest.mark.parametrize(
    "pages",
    [
        [["Claim 17", "Words of a."], ["Claim 18", "Words of b."], ["Claim 19", "Words of c."]],  # no page numbers
        [["Handbook", "Words of a."], ["Handbook", "Words of b."]],  # two pages show no habit
    ],
)
def test_what_may_be_content_is_kept_on_every_page(read: ReadAll, pages: list[list[str]]) -> None:
    (document,) = read(make_pdf(*pages), "a.pdf")
    assert document.text.split() == [word for page in pages for line in page for word in line.split()]
