"""Finding sentences by rules."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One.", "Two!", "Three?", "Four"],
        ["Dr. Smith met Mr. J. R. Jones at 3.14 p.m. on Jan. 3.", "They left."],
        ["Use a tool, e.g. a saw, i.e. the red one.", "See Fig. 3 and No. 5 (cf. p. 12)."],
        ["He lives in the U.S. Government district.", "She lives in the U.S.", "The end."],
        ["Acme Inc. Holdings pays.", "We pay Acme Inc.", "The rest is yours."],
        ["Is it so?", "No.", "I say so."],
        ["Wait... what?", "Wait\u2026", "Then go."],
        ["He said \u201cStop.\u201d", "(All done.)", "Next."],
        ["\u201cReally?\u201d he asked."],
        ["It was found in 1905.[12]", "Then it was lost.[a]"],
        ["Version 2.0.1 of example.org is 3.5 times faster.", "Good."],
        ["He was born in 2010.", "The year was good."],
        ["Ph.D. students wrote it."],
        ["What?!", "Yes!!"],
    ],
)
def test_sentences_end_where_people_end_them(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_chinese_japanese_and_hindi_stops_need_no_space() -> None:
    assert sentences("今日は。元気ですか？はい！") == ["今日は。", "元気ですか？", "はい！"]
    assert sentences("यह है। वह है।") == ["यह है।", "वह है।"]


def test_a_blank_line_ends_a_sentence() -> None:
    assert sentences("A title\n\nIts text\n \nmore") == ["A title", "Its text", "more"]


def test_a_wrapped_line_does_not_end_a_sentence() -> None:
    assert sentences("A sentence over\ntwo lines. Another") == ["A sentence over\ntwo lines.", "Another"]


def test_each_list_item_is_a_sentence_of_its_own() -> None:
    text = "You need:\n- a saw\n  and oil\n* nails\n1. First. Then.\n(b) Last"
    assert sentences(text) == ["You need:", "- a saw\n  and oil", "* nails", "1. First.", "Then.", "(b) Last"]


def test_lines_of_names_and_values_are_sentences_of_their_own() -> None:
    assert sentences("Name: Bob; Age: 4\nName: Eve; Age: 5") == ["Name: Bob; Age: 4", "Name: Eve; Age: 5"]


def test_one_line_that_looks_like_a_name_and_value_stays_in_its_sentence() -> None:
    assert sentences("You need the following\nthings: a saw and\noil.") == [
        "You need the following\nthings: a saw and\noil."
    ]


@given(st.text(st.one_of(st.characters(), st.sampled_from(".!?。 \n\t-1a\"')]:\x1c\u2003"))))
def test_spans_are_ascending_trimmed_and_lose_nothing(text: str) -> None:
    spans = sentence_spans(text)
    end_before = 0
    for start, end in spans:
        assert end_before <= start < end
        assert not text[end_before:start].strip()
        assert text[start:end] == text[start:end].strip()
        end_before = end
    assert not text[end_before:].strip()


@pytest.mark.parametrize(
    "unit",
    ["a", ".", "a.", ". ", "A. ", "\n", "- \n", " ", '"', "[1]", ".[", "。", "a: \n", "(", ".\n", "? ", "\u2026 "],
)
@pytest.mark.parametrize("tail", ["", "x. Y"])
def test_long_text_takes_linear_time(unit: str, tail: str) -> None:
    text = unit * (300_000 // len(unit)) + tail
    started = time.process_time()
    sentence_spans(text)
    assert time.process_time() - started < 5
