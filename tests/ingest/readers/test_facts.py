"""Titles and metadata."""

from datetime import date

import pytest

from rag.ingest.readers.facts import clean_facts, sensible_property, title_from_name


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("TEMPLATE_Project_README.docx", "TEMPLATE Project README"),
        ("leave-policy.md", "leave policy"),
        ("minutes-2024-01-31.txt", "minutes 2024-01-31"),
        ("v1.2.notes.txt", "v1.2.notes"),
        ("___.txt", "Untitled"),
    ],
)
def test_a_files_name_is_made_readable(name: str, title: str) -> None:
    assert title_from_name(name) == title


@pytest.mark.parametrize(
    "value", ["untitled", "Untitled1", "Microsoft Word - a.doc", "report.pdf", "(anonymous)", " ", 5, None]
)
def test_what_programs_write_for_want_of_a_title_is_none(value: object) -> None:
    assert sensible_property(value) == ""


def test_a_real_title_is_kept_on_one_line() -> None:
    assert sensible_property(" Annual\n report ") == "Annual report"


def test_facts_are_scalar_short_and_clean() -> None:
    facts = {
        "a": " x\ny ",
        "b": True,
        "c": 3,
        "d": 1.5,
        "e": date(2024, 1, 31),
        "big": 2**60,
        "nan": float("nan"),
        "long": "x" * 1_000,
        "none": None,
        "empty": " ",
        "list": [1],
        "": "no name",
    }
    assert clean_facts(facts) == {
        "a": "x y",
        "b": True,
        "c": 3,
        "d": 1.5,
        "e": "2024-01-31",
        "big": str(2**60),
        "nan": "nan",
        "long": "x" * 500,
    }


def test_there_are_not_endlessly_many_facts() -> None:
    assert len(clean_facts({str(i): i for i in range(1_000)})) == 50
