from collections.abc import Sequence

import pytest

from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.ingest.readers.tables import row_line
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.reader.reader import Reader, ReaderPassage
from rag.reader.row_values import in_values, row_fields
from rag.transformer.processor import choose_dtype

COLUMNS = ("machine", "location", "cores", "bought")
ROWS = (
    ("osprey", "rack 3", "32", "2023-09-01"),
    ("kestrel", "rack 7", "8", "2021-06-30"),
    ("bittern", "office cupboard", "4", "2019-11-05"),
)
TEXT = "Machines of the team\n" + "\n".join(row_line(COLUMNS, row) for row in ROWS)


@pytest.mark.parametrize(
    ("pointed_at", "value"),
    [
        ("location", "rack 3"),
        ("location: rack 3", "rack 3"),
        ("rack 3", "rack 3"),
        ("3", "3"),
        ("machine: osprey", "osprey"),
        ("machine: osprey; location", "osprey"),
        ("osprey; location: rack 3; cores", "osprey; location: rack 3"),
        ("rack 3; cores: 32", "rack 3; cores: 32"),
        ("bought", "2023-09-01"),
        ("team", "team"),
    ],
)
def test_what_touches_the_name_of_a_column_becomes_its_value(pointed_at: str, value: str) -> None:
    start = TEXT.index(pointed_at)
    a, b = in_values(TEXT, start, start + len(pointed_at))
    assert TEXT[a:b] == value


def test_a_span_over_several_rows_stays() -> None:
    start, end = TEXT.index("location"), TEXT.rindex("kestrel")
    assert in_values(TEXT, start, end) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "location: rack 3",
        "He said: it is raining.",
        "The Normans (Norman: Nourmands; French: Normands) were a people.",
        "On Monday we met; topic: racks; guests: two.",
        "",
    ],
)
def test_prose_and_a_single_field_are_no_row(text: str) -> None:
    assert row_fields(text, len(text) // 2) == []


def test_a_cell_without_a_name_belongs_to_the_one_before() -> None:
    text = row_line(["name", "", "room"], ["Ann", "on leave", "4"])
    assert [text[start:end] for _, start, end in row_fields(text, 0)] == ["Ann; on leave", "4"]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load(SHIPPED_WEIGHTS, model_folder(CARRIED_MODEL), dtype=choose_dtype("auto"))


def _answers(reader: Reader, questions: Sequence[str]) -> list[str]:
    passages = [ReaderPassage(context="machines", text=row_line(COLUMNS, row)) for row in ROWS]
    return [reader.read(question, passages).answer for question in questions]


@pytest.mark.slow
def test_rows_answer_with_values_and_not_with_what_the_question_names(reader: Reader) -> None:
    questions = [
        "Where is osprey?",
        "Where is the machine called osprey?",
        "Where is kestrel?",
        "When was kestrel bought?",
    ]
    assert _answers(reader, questions) == ["rack 3", "rack 3", "rack 7", "2021-06-30"]


@pytest.mark.slow
def test_a_choice_may_be_answered_with_what_the_question_names(reader: Reader) -> None:
    assert _answers(reader, ["Is kestrel in rack 7 or in the office cupboard?"]) == ["rack 7"]
