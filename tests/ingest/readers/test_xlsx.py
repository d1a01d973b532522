"""Reading XLSX."""

import io
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from datetime import time as clock

import openpyxl
import pytest
from openpyxl import Workbook
from openpyxl.drawing.image import Image as SheetImage
from PIL import Image

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]


def to_bytes(workbook: Workbook) -> bytes:
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def book(*rows: Sequence[object], title: str = "Staff") -> Workbook:
    workbook = Workbook()
    workbook.active.title = title
    for row in rows:
        workbook.active.append(row)
    return workbook


def rows(document: Document) -> list[tuple[int | None, tuple[str, ...], str]]:
    return [(s.row, s.headings, document.text[s.start : s.end]) for s in document.sections]


def with_member(data: bytes, name: str, change: Callable[[str], str]) -> bytes:
    """The package with one of its parts changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member.filename, change(content.decode()) if member.filename == name else content)
    return stream.getvalue()


def test_each_row_is_a_section_with_its_number_and_the_column_names(read: ReadAll) -> None:
    workbook = book(["Name", "Days:"], ["Bob", 5], [], ["Eve", 7.5])
    workbook.properties.title, workbook.properties.creator = "Leave days", "A B"
    (document,) = read(to_bytes(workbook), "a.xlsx")
    assert rows(document) == [
        (None, ("Staff",), "Staff"),
        (2, ("Staff",), "Name: Bob; Days: 5"),
        (4, ("Staff",), "Name: Eve; Days: 7.5"),
    ]
    assert document.title == "Leave days"
    assert document.metadata == {"author": "A B", "num_rows": 2, "sheets": "Staff"}
    assert document.media_type.endswith("spreadsheetml.sheet")


def test_the_title_comes_from_the_file_when_nobody_gave_one(read: ReadAll) -> None:
    (document,) = read(to_bytes(book(["a", "b"], [1, 2])), "leave_days.xlsx")
    assert (document.title, document.metadata) == ("leave days", {"num_rows": 1, "sheets": "Staff"})


@pytest.mark.parametrize("gap", [[], [[]]])
def test_a_header_is_found_below_a_title_which_becomes_a_heading(read: ReadAll, gap: list[list[object]]) -> None:
    (document,) = read(to_bytes(book(["Annual report"], *gap, ["Month", "Sales"], ["Jan", 10], ["Feb", 20])), "a.xlsx")
    assert [(headings, text) for _, headings, text in rows(document)][1:] == [
        (("Staff", "Annual report"), "Annual report"),
        (("Staff", "Annual report"), "Month: Jan; Sales: 10"),
        (("Staff", "Annual report"), "Month: Feb; Sales: 20"),
    ]


def test_names_with_years_are_a_header(read: ReadAll) -> None:
    (document,) = read(to_bytes(book(["Region", 2023, 2024], ["North", 1, 2])), "a.xlsx")
    assert document.text.endswith("Region: North; 2023: 1; 2024: 2")


def test_a_list_of_names_and_amounts_has_no_header(read: ReadAll) -> None:
    (document,) = read(to_bytes(book(["Profit", "$5,000"], ["Share", "40%"], ["Staff", 12, "people"])), "a.xlsx")
    assert document.text.split("\n")[2:] == ["Profit: $5,000", "Share: 40%", "Staff: 12; people"]


def test_a_second_table_has_its_own_header(read: ReadAll) -> None:
    sheet = [["Name", "Days"], ["Bob", 5], [], ["City", "Staff"], ["Rome", 9], [], ["Signature:"]]
    assert read(to_bytes(book(*sheet)), "a.xlsx")[0].text.split("\n")[2:] == [
        "Name: Bob; Days: 5",
        "City: Rome; Staff: 9",
        "Signature:",
    ]


def test_words_below_an_empty_row_still_belong_to_the_table_above(read: ReadAll) -> None:
    (document,) = read(to_bytes(book(["Question", "Answer"], ["Why?", "So."], [], ["When?", "Now."])), "a.xlsx")
    assert document.text.endswith("Question: Why?; Answer: So.\nQuestion: When?; Answer: Now.")


def test_dates_and_numbers_are_written_plainly(read: ReadAll) -> None:
    values = [
        datetime(2024, 3, 1),
        datetime(2024, 3, 1, 10, 30),
        date(2024, 3, 2),
        clock(9, 5),
        timedelta(hours=30),
        0.1 + 0.2,
        3.0,
        1e15,
        True,
    ]
    (document,) = read(to_bytes(book(["a"] * 9, values)), "a.xlsx")
    assert document.text.split("\n")[-1] == (
        "a: 2024-03-01; a: 2024-03-01 10:30; a: 2024-03-02; a: 09:05:00; a: 1 day, 6:00:00; a: 0.3; a: 3; "
        "a: 1000000000000000; a: TRUE"
    )


def test_cells_merged_over_rows_are_repeated(read: ReadAll) -> None:
    workbook = book(["Region", "Month", "Sales"], ["North", "Jan", 1], [None, "Feb", 2], ["South", "Jan", 3])
    workbook.active.merge_cells("A2:A3")
    assert read(to_bytes(workbook), "a.xlsx")[0].text.split("\n")[2:] == [
        "Region: North; Month: Jan; Sales: 1",
        "Region: North; Month: Feb; Sales: 2",
        "Region: South; Month: Jan; Sales: 3",
    ]


def test_formulas_without_a_stored_value_are_lost_and_said_to_be(read: ReadAll) -> None:
    data = to_bytes(book(["a", "b"], [1, "=A2+1"], [2, "=A3+1"], ["x", "y"]))
    (document,) = read(data, "a.xlsx")
    assert document.losses == ("2 formulas without a stored value in sheet Staff were passed over.",)
    computed = with_member(
        data, "xl/worksheets/sheet1.xml", lambda xml: xml.replace("<v></v>", "<v>41</v>").replace("<v />", "<v>41</v>")
    )
    (document,) = read(computed, "a.xlsx")
    assert "a: 1; b: 41" in document.text
    assert document.losses == ()


def test_hidden_sheets_are_not_read_and_named_but_hidden_rows_are(read: ReadAll) -> None:
    workbook = book(["a", "b"], [1, 2])
    workbook.active.row_dimensions[2].hidden = True
    for name, state in [("Lists", "hidden"), ("Deep", "veryHidden")]:
        sheet = workbook.create_sheet(name)
        sheet.append(["secret"])
        sheet.sheet_state = state
    (document,) = read(to_bytes(workbook), "a.xlsx")
    assert document.text == "Staff\n\na: 1; b: 2"
    assert document.losses == ("Hidden sheets were not read: Lists and Deep.",)


def test_pictures_are_counted_as_lost(read: ReadAll) -> None:
    workbook = book(["a", "b"], [1, 2])
    picture = io.BytesIO()
    Image.new("RGB", (2, 2)).save(picture, "PNG")
    picture.seek(0)
    workbook.active.add_image(SheetImage(picture))
    assert read(to_bytes(workbook), "a.xlsx")[0].losses == ("1 image was passed over.",)


def test_a_sheet_that_claims_a_million_rows_is_fast(read: ReadAll) -> None:
    workbook = book(["a", "b"], [1, 2])
    workbook.active.cell(row=1_048_576, column=16_384, value="far")
    data = with_member(
        to_bytes(workbook), "xl/worksheets/sheet1.xml", lambda xml: xml.replace('ref="A1:XFD1048576"', 'ref="A1:XFD9"')
    )
    started = time.perf_counter()
    (document,) = read(data, "a.xlsx")
    assert time.perf_counter() - started < 20
    assert rows(document)[-1] == (1_048_576, ("Staff",), "far")


def test_row_numbers_beyond_any_sheet_do_not_keep_the_reader_busy(read: ReadAll) -> None:
    data = with_member(
        to_bytes(book(["a", "b"], [1, 2])),
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace('<row r="2"', '<row r="99999999999999"').replace('r="A2"', "").replace('r="B2"', ""),
    )
    assert read(data, "a.xlsx")[0].text == "Staff\n\na: b"


def test_macros_make_no_difference(read: ReadAll) -> None:
    (document,) = read(to_bytes(book(["a", "b"], [1, 2])), "a.xlsm")
    assert document.text == "Staff\n\na: 1; b: 2"
    assert document.media_type == "application/vnd.ms-excel.sheet.macroEnabled.12"


def test_what_openpyxl_warns_of_reaches_nobody(read: ReadAll) -> None:
    workbook = book(["a", "b"], [1, 2])
    extension = (
        '<extLst><ext uri="{CCE6A557-97BC-4b89-ADB6-D9C93CAAB3DF}"/></extLst></worksheet>'  # its data validation
    )
    data = with_member(
        to_bytes(workbook), "xl/worksheets/sheet1.xml", lambda xml: xml.replace("</worksheet>", extension)
    )
    assert read(data, "a.xlsx")[0].text == "Staff\n\na: 1; b: 2"  # a warning would be an error in this test


def test_an_empty_workbook_is_refused(read: ReadAll) -> None:
    with pytest.raises(UnreadableDocument, match="a.xlsx holds no rows"):
        read(to_bytes(openpyxl.Workbook()), "a.xlsx")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive", "XLSX files are ZIP archives, and this is none"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 100, "password-protected or an old .xls file; save it as plain .xlsx"),
    ],
)
def test_a_damaged_or_protected_file_is_refused(read: ReadAll, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        read(data, "a.xlsx")
