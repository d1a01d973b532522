"""The shipped reader on a few passages."""

from collections.abc import Sequence

import pytest

from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.reader.reader import Reader, ReaderMode, ReaderPassage, Reading
from rag.transformer.processor import choose_dtype

PASSAGES = [
    ReaderPassage(
        context="Bridges",
        text="The Salt Bridge was opened in 1931 by the mayor, Ida Holm. It was closed for two years because lorries "
        "had damaged its northern pillars. The toll is 40 crowns for a car.",
    ),
    ReaderPassage(
        context="Ferries", text="The ferry to Tarn runs every hour. It was bought in 1988 from a yard in Gdansk."
    ),
    ReaderPassage(context="Empty", text=""),
]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load(SHIPPED_WEIGHTS, model_folder(CARRIED_MODEL), dtype=choose_dtype("auto"))


def _copied(reading: Reading, passages: Sequence[ReaderPassage]) -> list[str]:
    return [passages[r.passage].text[r.start : r.end] for r in reading.ranges]


@pytest.mark.parametrize("mode", ["combined", "span", "decoder"])
def test_answer_and_its_source_agree_to_the_character(reader: Reader, mode: ReaderMode) -> None:
    reading = reader.read("Who opened the Salt Bridge?", PASSAGES, mode=mode)
    assert "Ida Holm" in reading.answer
    for copied, place in zip(_copied(reading, PASSAGES), reading.ranges, strict=True):
        assert reading.answer[place.answer_start : place.answer_start + len(copied)] == copied


def test_why_is_answered_with_the_sentence(reader: Reader) -> None:
    reading = reader.read("Why was the Salt Bridge closed?", PASSAGES)
    assert reading.answer == ("It was closed for two years because lorries had damaged its northern pillars.")
    assert _copied(reading, PASSAGES) == [reading.answer]


def test_relevance_is_highest_where_the_answer_stands(reader: Reader) -> None:
    reading = reader.read("Where was the ferry bought?", PASSAGES)
    assert reading.relevance.index(max(reading.relevance)) == 1
    assert "Gdansk" in reading.answer


def test_nothing_to_read_gives_no_answer(reader: Reader) -> None:
    assert reader.read("Who?", []).answer == ""
    empty = reader.read("Who?", [PASSAGES[2]], explain=True)
    assert (empty.answer, empty.ranges, empty.confidence, empty.explanation) == ("", (), 0.0, None)


@pytest.mark.parametrize("mode", ["combined", "decoder"])
def test_explanation_accounts_for_every_token_of_the_answer(reader: Reader, mode: ReaderMode) -> None:
    question = "When was the Salt Bridge opened?"
    reading = reader.read(question, PASSAGES, mode=mode, explain=True)
    assert reading.explanation is not None
    at = 0
    for token in reading.explanation.tokens:
        at = reading.answer.index(token.text, at) + len(token.text)
        assert token.passage is not None
        assert PASSAGES[token.passage].text[token.start : token.end] == token.text
        assert sum(token.passage_weights) + token.written == pytest.approx(1, abs=0.02)
        assert 0 <= token.copied <= token.probability + 1e-3 <= 1 + 1e-3
    assert at == len(reading.answer)
    assert reader.read(question, PASSAGES, mode=mode).answer == reading.answer
    warmest = max(reading.explanation.heat[0], key=lambda source: source.weight)
    assert PASSAGES[0].text[warmest.start : warmest.end] == "1931"
    assert len(reading.explanation.heat) == len(PASSAGES)


def test_cut_off_passage_is_read_as_far_as_it_goes(reader: Reader) -> None:
    long = ReaderPassage(
        context="Long", text="Because the mill burnt down in May " + "and in June " * 300 + "it closed."
    )
    reading = reader.read("Why did it close?", [long])
    assert reading.answer
    assert long.text[reading.ranges[0].start : reading.ranges[0].end] == reading.answer
