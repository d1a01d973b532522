"""Cleaning text, and the hash of exact duplicates."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.clean import clean_text, normalized_sha256

ODD_TEXT = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\u0301\u0316\u0344\u0958\ufeff\u200b\u200d\xad\r\n\t \x0b\x85\u2028\xa0\u3000a e\ud800"),
    )
)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\r\nb\rc\u2028d\x85e\x0bf\x0cg", "a\nb\nc\nd\ne\nf\ng"),
        ("a\x00b\x07c\x1bd\x9fe", "abcde"),
        ("a\tb", "a\tb"),
        ("a\ud800b\udfffc", "abc"),
        ("\ufeffa\u200bb\xadc\u2060d\u202ee", "abcde"),
        ("a\xa0b\u2009c\u3000d", "a b c d"),
        ("a  \nb\t\n  c", "a\nb\n  c"),
        ("a\n\n\n\n\nb\n \n\t\nc", "a\n\nb\n\nc"),
        (" \n a \n ", "a"),
        ("e\u0301", "\u00e9"),
        ("hidden\U000e0041\U000e0042", "hidden"),
        ("", ""),
    ],
)
def test_text_is_brought_into_its_stored_form(raw: str, cleaned: str) -> None:
    assert clean_text(raw) == cleaned


@given(ODD_TEXT)
def test_cleaning_twice_changes_nothing(raw: str) -> None:
    cleaned = clean_text(raw)
    assert clean_text(cleaned) == cleaned


@given(ODD_TEXT)
def test_clean_text_holds_only_plain_white_space_and_can_be_stored(raw: str) -> None:
    cleaned = clean_text(raw)
    assert {c for c in cleaned if c.isspace()} <= {" ", "\t", "\n"}
    assert "\x00" not in cleaned
    cleaned.encode("utf-8")
    assert unicodedata.is_normalized("NFC", cleaned)


def test_the_joiners_that_spell_persian_and_hindi_words_stay() -> None:
    assert (
        clean_text("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
        == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    )


def test_countless_marks_on_one_letter_do_not_hang_cleaning() -> None:
    started = time.process_time()
    assert len(clean_text("a" + "\u0301\u0316" * 200_000)) <= 31
    assert time.process_time() - started < 5


@pytest.mark.parametrize("raw", [" " * 300_000 + "x", " \n" * 200_000 + "x", "x" + "\r" * 300_000, "漢字" * 200_000])
def test_long_text_takes_linear_time(raw: str) -> None:
    started = time.process_time()
    clean_text(raw)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "same", ["Leave is  20\tdays.", " Leave\nis 20 days.\n", "Leave\xa0is 20 days.", "Leave is ２０ days."]
)
def test_white_space_and_compatibility_forms_do_not_make_another_document(same: str) -> None:
    assert normalized_sha256(same) == normalized_sha256("Leave is 20 days.")


@pytest.mark.parametrize(
    "other", ["leave is 20 days.", "Leave is 20 days", "Leave is 2.0 days.", "Leaveis 20 days.", ""]
)
def test_case_punctuation_and_words_make_another_document(other: str) -> None:
    assert normalized_sha256(other) != normalized_sha256("Leave is 20 days.")


def test_even_lone_surrogates_have_a_hash() -> None:
    assert len(normalized_sha256("a\ud800")) == 64
