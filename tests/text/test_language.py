"""Questions in other languages are found, and English ones with foreign names are let alone."""

import json
from pathlib import Path

import pytest

from rag.text.language import LanguageDetector, language_name

BY_LANGUAGE = json.loads((Path(__file__).parent / "questions_by_language.json").read_text(encoding="utf-8"))
NAMES = (
    "Temüjin", "Nikola Tesla", "Zhang Wei", "Łukasz Wiśniewski", "Ngozi Okonjo-Iweala", "Çağla Yılmaz", "São Paulo",
    "Uhuru Kenyatta", "Köln", "Guðrún Ósvífursdóttir", "Đà Nẵng", "Señora Muñoz", "Kraków", "Bjørn Ødegård", "Toghrul",
    "Xochimilco", "Jean-Luc Besançon", "Müller & Söhne GmbH", "Iñaki Etxeberria", "Dvořák",
)  # fmt: skip
FORMS = (
    "Who is {}?",
    "When did {} die?",
    "who founded {}",
    "Where did {} come from?",
    "Why was {} chosen?",
    "How old is {} now?",
    "What did {} say about it?",
    "Which rule did {} break?",
    "tell me about {}",
    "Name the teacher of {}.",
    "What does {} mean in English?",
    "Did {} sign the contract?",
)
PLAIN = (
    "vacation policy", "password reset steps", "expenses for travel abroad", "Can I work from home?", "opening hours",
    "Give the number of days.", "Name a common autoimmune disease.", "refund after thirty days", "Do gurus control it?",
    "Could she appeal?", "VPN setup on Linux", "Explain parental leave.", "Summarise chapter 3.", "salary bands 2024",
    "kubernetes ingress timeout", "List all holidays.", "Was it sold?", "error code 0x80070005", "Dr. Müller's phone",
)  # fmt: skip
ENGLISH = [form.format(name) for form in FORMS for name in NAMES] + list(PLAIN)


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector(["en"])


def test_english_questions_with_foreign_names_are_not_flagged(detector: LanguageDetector) -> None:
    assert len(ENGLISH) > 200
    flagged = [question for question in ENGLISH if detector.unknown_language(question)]
    assert len(flagged) <= len(ENGLISH) // 50, flagged


@pytest.mark.parametrize("language", sorted(BY_LANGUAGE))
def test_questions_in_other_languages_are_flagged(detector: LanguageDetector, language: str) -> None:
    missed = [question for question in BY_LANGUAGE[language] if detector.unknown_language(question) is None]
    assert len(missed) <= 1, missed


def test_language_is_named(detector: LanguageDetector) -> None:
    assert language_name(detector.unknown_language("Warum wurde das Projekt abgebrochen?") or "") == "German"
    assert language_name("xx") == "another language (xx)"


def test_a_language_that_is_known_is_not_flagged() -> None:
    assert LanguageDetector(["en", "de"]).unknown_language("Warum wurde das Projekt abgebrochen?") is None
    assert LanguageDetector([]).unknown_language("Warum wurde das Projekt abgebrochen?") is None


@pytest.mark.parametrize("text", ["", "42", "?!", "12.5 % + 3"])
def test_what_has_no_letters_has_no_language(detector: LanguageDetector, text: str) -> None:
    assert detector.unknown_language(text) is None
