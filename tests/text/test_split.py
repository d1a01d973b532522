"""Splitting into passages."""

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.records import Passage, Section
from rag.text.split import split_passages


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def count_pairs(texts: Sequence[str]) -> list[int]:
    """As many tokens as pairs of characters: a count that grows within words."""
    return [sum(-(-len(word) // 2) for word in text.split()) for text in texts]


def split(text: str, sections: Sequence[Section] | None = None, *, max_tokens: int = 10) -> list[Passage]:
    whole = [Section(start=0, end=len(text))]
    return split_passages(
        text, whole if sections is None else sections, count_tokens=count_words, max_tokens=max_tokens
    )


def sections_of(
    *parts: tuple[str, tuple[str, ...]], page: int | None = None, row: bool = False
) -> tuple[str, list[Section]]:
    text, sections = "", []
    for number, (part, headings) in enumerate(parts, 1):
        text += "\n\n" if text else ""
        end = len(text) + len(part)
        sections.append(Section(start=len(text), end=end, headings=headings, page=page, row=number if row else None))
        text += part
    return text, sections


def test_passages_end_at_sentence_ends() -> None:
    text = "One two three four. Five six seven. Eight nine ten eleven twelve. Thirteen."
    passages = split(text, max_tokens=8)
    assert [p.text for p in passages] == [
        "One two three four. Five six seven.",
        "Eight nine ten eleven twelve. Thirteen.",
    ]
    assert [p.ordinal for p in passages] == [0, 1]
    assert [p.num_tokens for p in passages] == [7, 6]


def test_no_crumb_is_left_at_the_end_of_a_section() -> None:
    passages = split("Go on. " * 6, max_tokens=10)
    assert [p.num_tokens for p in passages] == [6, 6]


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    words = [f"word{i}" for i in range(100)]
    passages = split(" ".join(words), max_tokens=10)
    assert [word for p in passages for word in p.text.split()] == words
    assert max(p.num_tokens for p in passages) <= 10
    assert len(passages) <= 13


def test_a_sentence_that_is_too_long_is_cut_at_line_ends_if_it_has_any() -> None:
    text = "\n".join(f"x{i} = y{i} + z{i}" for i in range(40))
    assert all(p.text.startswith("x") for p in split(text, max_tokens=20))


def test_an_endless_word_is_cut_between_characters() -> None:
    text = "a" * 1_000
    passages = split_passages(text, [Section(start=0, end=1_000)], count_tokens=count_pairs, max_tokens=32)
    assert "".join(p.text for p in passages) == text
    assert max(p.num_tokens for p in passages) <= 32


def test_a_long_word_that_the_tokenizer_does_not_know_does_not_make_an_endless_passage() -> None:
    assert max(len(p.text) for p in split("x" * 100_000, max_tokens=100)) <= 2_000


def test_no_passage_crosses_a_section() -> None:
    text, sections = sections_of(("a b c d e f.", ("A",)), ("g h i j k l.", ("B",)))
    passages = split(text, sections, max_tokens=20)
    assert [(p.text, p.headings) for p in passages] == [("a b c d e f.", ("A",)), ("g h i j k l.", ("B",))]


def test_small_neighbours_under_one_heading_share_a_passage() -> None:
    text, sections = sections_of(("a b", ("X", "A")), ("c d", ("X", "B")), ("e f", ("X", "C")))
    assert [(p.text, p.headings) for p in split(text, sections, max_tokens=40)] == [(text, ("X",))]


def test_small_neighbours_share_a_passage_only_as_far_as_they_fit() -> None:
    text, sections = sections_of(*((f"a{i} b{i} c{i}", ("X", str(i))) for i in range(10)))
    assert [p.num_tokens for p in split(text, sections, max_tokens=16)] == [15, 15]


@pytest.mark.parametrize("headings", [("Y", "B"), ("X",), ("X", "A", "B")])
def test_small_sections_under_other_headings_stay_apart(headings: tuple[str, ...]) -> None:
    text, sections = sections_of(("a b", ("X", "A")), ("c d", headings))
    assert len(split(text, sections, max_tokens=40)) == 2


def test_rows_are_never_joined() -> None:
    text, sections = sections_of(("a", ()), ("b", ()), row=True)
    assert [(p.text, p.row) for p in split(text, sections, max_tokens=40)] == [("a", 1), ("b", 2)]


def test_pages_are_never_joined() -> None:
    sections = [Section(start=0, end=1, page=1), Section(start=2, end=3, page=2)]
    assert [(p.text, p.page) for p in split("a b", sections, max_tokens=40)] == [("a", 1), ("b", 2)]


def test_a_bare_heading_goes_with_the_section_below_it() -> None:
    text, sections = sections_of(("X", ("X",)), ("A", ("X", "A")), ("A1 " + "b " * 30, ("X", "A", "A1")))
    passages = split(text, sections, max_tokens=40)
    assert [p.headings for p in passages] == [("X", "A", "A1")]
    assert passages[0].text.startswith("X\n\nA\n\nA1 b")


def test_a_bare_heading_does_not_join_the_small_section_above_it() -> None:
    text, sections = sections_of(("A\n\na b", ("A",)), ("B", ("B",)), ("B1\n\nc d", ("B", "B1")))
    assert [p.headings for p in split(text, sections, max_tokens=40)] == [("A",), ("B", "B1")]


def test_tokens_are_counted_in_one_call_when_no_sentence_is_too_long() -> None:
    calls = []

    def count(texts: Sequence[str]) -> list[int]:
        calls.append(len(texts))
        return count_words(texts)

    text, sections = sections_of(("Aa. Bb. Cc.", ("A",)), ("Dd. Ee.", ("B",)))
    split_passages(text, sections, count_tokens=count, max_tokens=10)
    assert calls == [5]


def test_what_lies_outside_the_sections_is_not_taken() -> None:
    assert [p.text for p in split("menu text footer", [Section(start=5, end=9)])] == ["text"]


def test_a_document_without_sections_has_no_passages() -> None:
    assert split("text", []) == []
    assert split("  \n ", None) == []


def test_non_positive_max_tokens_raises() -> None:
    with pytest.raises(ValueError, match="max_tokens must be positive"):
        split("text", max_tokens=0)


PIECES = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" .\n\t!。aA1-\u2003\x1c")), max_size=60
)
HEADINGS = st.lists(st.sampled_from("AB"), max_size=2).map(tuple)


@given(st.lists(st.tuples(PIECES, HEADINGS, st.booleans()), max_size=8), st.integers(1, 12), st.booleans())
def test_passages_verify_never_overlap_and_lose_nothing(
    parts: list[tuple[str, tuple[str, ...], bool]], max_tokens: int, in_pairs: bool
) -> None:
    text, sections = "", []
    for number, (part, headings, is_row) in enumerate(parts, 1):
        end = len(text) + len(part)
        sections.append(Section(start=len(text), end=end, headings=headings, row=number if is_row else None))
        text += part
    passages = split_passages(
        text, sections, count_tokens=count_pairs if in_pairs else count_words, max_tokens=max_tokens
    )
    assert [p.ordinal for p in passages] == list(range(len(passages)))
    assert all(p.text == text[p.start : p.end] == p.text.strip() != "" for p in passages)
    assert all(p.num_tokens <= max_tokens for p in passages)
    assert all(before.end <= after.start for before, after in pairwise(passages))
    assert "".join("".join(p.text.split()) for p in passages) == "".join(text.split())
    for section in sections:
        if section.row is not None and text[section.start : section.end].strip():
            inside = [p for p in passages if p.start < section.end and p.end > section.start]
            assert all(section.start <= p.start and p.end <= section.end and p.row == section.row for p in inside)


@pytest.mark.parametrize("unit", ["a", "a ", "ab. ", ".", "x\n", "\u00e4\u4e2d", "a" * 300 + " "])
def test_long_text_takes_linear_time(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    started = time.process_time()
    split_passages(text, [Section(start=0, end=len(text))], count_tokens=count_pairs, max_tokens=200)
    assert time.process_time() - started < 5
