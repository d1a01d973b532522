"""Finding personal data: how much of it on two files of sentences, and that neither hostile nor odd text stops it."""

import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rag.records import PersonalDataKind
from rag.text.personal_data import KINDS, find_personal_data

SENTENCES = Path(__file__).parent / "personal_data"
REGIONS = ("DE", "GB", "US")
MARKED = re.compile(r"\[(email|phone|card|iban|ip):([^\[\]]+)\]")


def read(name: str) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Sentences with what is to be found in them; the file has it in brackets with its kind."""
    read = []
    for line in (SENTENCES / name).read_text(encoding="utf-8").splitlines():
        text, wanted, at = "", [], 0
        for marked in MARKED.finditer(line):
            text += line[at : marked.start()]
            wanted.append((len(text), len(text) + len(marked[2]), marked[1]))
            text, at = text + marked[2], marked.end()
        read.append((text + line[at:], wanted))
    return read


def count(name: str, kind: str | None = None) -> Counter[str]:
    """What was found rightly, falsely and not; a wrong border counts as both a miss and a false find."""
    counts: Counter[str] = Counter()
    for text, wanted in read(name):
        found = [(one.start, one.end, one.kind) for one in find_personal_data(text, phone_regions=REGIONS)]
        for one in {*found, *wanted}:
            if kind in (None, one[2]):
                counts["right" if one in found and one in wanted else "false" if one in found else "missed"] += 1
    return counts


def figures(name: str, kind: str | None = None) -> tuple[float, float]:
    """Precision and recall."""
    counts = count(name, kind)
    return counts["right"] / (counts["right"] + counts["false"]), counts["right"] / (counts["right"] + counts["missed"])


def test_there_are_enough_sentences_and_most_hold_nothing_or_what_looks_like_it() -> None:
    sentences = [*read("tuning.txt"), *read("held_out.txt")]
    assert len(sentences) >= 150
    assert sum(not wanted for _, wanted in sentences) >= 75
    assert {kind for _, wanted in sentences for *_, kind in wanted} == set(KINDS)


def test_nearly_all_is_found_and_little_else() -> None:
    precision, recall = figures("held_out.txt")
    assert precision >= 0.9
    assert recall >= 0.9
    assert min(figures("tuning.txt")) >= 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_is_much_worse_than_the_others(kind: PersonalDataKind) -> None:
    precision, recall = figures("held_out.txt", kind)
    assert precision >= 0.75
    assert recall >= 0.85


def test_only_the_wanted_kinds_are_found() -> None:
    text = "jane@example.org, +49 30 23125 678, 192.0.2.17"
    assert [one.kind for one in find_personal_data(text, ["ip"])] == ["ip"]
    assert [one.kind for one in find_personal_data(text)] == ["email", "phone", "ip"]


def test_numbers_of_a_country_need_its_name_in_the_settings() -> None:
    text = "Call 089 1234567."
    assert find_personal_data(text, phone_regions=["US"]) == []
    assert [text[one.start : one.end] for one in find_personal_data(text, phone_regions=["DE"])] == ["089 1234567"]


def test_what_was_found_never_overlaps() -> None:
    text = "4111 1111 1111 1111 DE89 3704 0044 0532 0130 00 tel 4111111111111111 x@10.0.0.1 +49 30 23125 678"
    found = find_personal_data(text, phone_regions=REGIONS)
    assert found
    assert all(one.end <= other.start for one, other in zip(found, found[1:], strict=False))


@pytest.mark.parametrize(
    "text",
    [
        "!" * 20_000,
        "a@" + "a." * 10_000,
        "1 " * 10_000,
        "ab12" + "x" * 20_000,
        ":" * 20_000,
        "DE12 " * 4_000,
        "a-" * 9_000,
    ],
    ids=lambda text: text[:5],
)
def test_hostile_text_takes_no_long_time(text: str) -> None:
    started = time.perf_counter()
    find_personal_data(text, phone_regions=REGIONS)
    assert time.perf_counter() - started < 10


if __name__ == "__main__":  # the figures of docs/security.md
    for file in ("tuning.txt", "held_out.txt"):
        for one in (*KINDS, None):
            counted = count(file, one)
            sys.stdout.write(
                f"{file} {one or 'all'}: " + ", ".join(f"{n} {w}" for w, n in sorted(counted.items())) + "\n"
            )
