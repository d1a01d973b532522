"""Reading CSV and TSV."""

import csv
from collections.abc import Callable

import pytest

from rag.errors import UnreadableDocument
from rag.records import Document

ReadAll = Callable[..., list[Document]]


def rows(document: Document) -> list[tuple[int | None, str]]:
    return [(s.row, document.text[s.start : s.end]) for s in document.sections]


@pytest.mark.parametrize(
    "content",
    [
        'Name,Days\nBob,5\n"Eve, B",7\n',
        'Name;Days\r\nBob;5\r\n"Eve, B";7',
        "Name|Days\nBob|5\nEve, B|7",
        "Name\tDays\nBob\t5\nEve, B\t7",
        '\n\nName,Days\n\nBob,5\n,\n"Eve, B",7',
    ],
)
def test_each_row_is_a_section_that_repeats_the_column_names(read: ReadAll, content: str) -> None:
    (document,) = read(content, "leave_days.csv")
    assert rows(document) == [(1, "Name: Bob; Days: 5"), (2, "Name: Eve, B; Days: 7")]
    assert document.title == "leave days"
    assert document.media_type == "text/csv"
    assert document.metadata == {"num_rows": 2, "columns": "Name, Days"}


def test_tsv_is_cut_at_tabs_even_when_commas_abound(read: ReadAll) -> None:
    (document,) = read("a,b\tc,d\n1,2\t3,4\n", "a.tsv")
    assert rows(document) == [(1, "a,b: 1,2; c,d: 3,4")]
    assert document.media_type == "text/tab-separated-values"


def test_empty_cells_are_left_out_and_ragged_rows_read(read: ReadAll) -> None:
    (document,) = read("a,b,c\n1,,3\n4\n5,6,7,8\n", "a.csv")
    assert rows(document) == [(1, "a: 1; c: 3"), (2, "a: 4"), (3, "a: 5; b: 6; c: 7; 8")]


def test_a_cell_may_span_lines(read: ReadAll) -> None:
    assert rows(read('a,b\n"x\ny",2\n', "a.csv")[0]) == [(1, "a: x y; b: 2")]


def test_one_column_is_read(read: ReadAll) -> None:
    assert rows(read("Question\nWhat is it?\nWhy, then?\n", "a.csv")[0])[0] == (1, "Question: What is it?")


def test_a_cell_longer_than_the_csv_modules_limit_is_read_and_the_limit_left_alone(read: ReadAll) -> None:
    limit = csv.field_size_limit()
    (document,) = read("a,b\n" + "word " * 40_000 + ",2\n", "a.csv")
    assert len(document.text) > 200_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("content", ["a,b\n", ",,,\n,,\n", "one line"])
def test_a_table_without_data_rows_is_refused(read: ReadAll, content: str) -> None:
    with pytest.raises(UnreadableDocument, match=r"a\.csv holds no rows below its header"):
        read(content, "a.csv")


def test_an_old_encoding_is_recognised(read: ReadAll) -> None:
    (document,) = read("名前,年齢,住所\r\n佐藤太郎,30,東京\r\n".encode("cp932"), "a.csv")
    assert rows(document) == [(1, "名前: 佐藤太郎; 年齢: 30; 住所: 東京")]
    assert document.metadata["encoding"] == "cp932"
