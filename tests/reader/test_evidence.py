"""What speaks for a span as the answer, and what the shipped reader makes of right and wrong ones."""

import math

import pytest
import torch

from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.reader.decode import Span, read_pairs
from rag.reader.evidence import EVIDENCE_FEATURES, evidence_of, heads_alone, words_alone
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.reader.reader import Reader, ReaderPassage

TEXT = (
    "The bakery of Lund burnt down in 1911. It was opened by Elsa in 1874 and gave work to 30 people. "
    "The brewery of Malmo was opened by Karl."
)


def _words(question: str, answer: str, *, context: str = "Towns") -> dict[str, float]:
    start = TEXT.index(answer)
    return words_alone(question, context, TEXT, start, start + len(answer))


def test_what_the_question_speaks_of_is_looked_for_beside_the_span() -> None:
    met = _words("Who opened the bakery of Lund?", "Elsa")
    assert (met["near"], met["around"], met["names"]) == (1.0, 1.0, 0.0)
    far = _words("Who opened the bakery of Lund?", "Karl")
    assert far["near"] < 1.0  # Lund and its bakery stand two sentences away
    assert far["around"] == 1.0


def test_names_and_numbers_of_the_question_that_stand_nowhere_are_counted() -> None:
    assert _words("Who opened the bakery of Oslo in 1950?", "Elsa")["names"] == 2.0
    assert _words("Who opened the bakery of Oslo?", "Elsa", context="Oslo")["names"] == 0.0


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("When did it open?", "1874", 1.0),
        ("When did it open?", "Elsa", -1.0),
        ("How many people?", "30 people", 1.0),
        ("How many people?", "work", -1.0),
        ("Who opened it?", "Elsa", 1.0),
        ("Who opened it?", "burnt down", -1.0),
        ("What happened?", "burnt down", 0.0),
    ],
)
def test_span_is_or_is_not_the_kind_of_thing_asked_for(question: str, answer: str, kind: float) -> None:
    assert _words(question, answer)["kind"] == kind


def test_answer_that_repeats_the_question_is_told() -> None:
    assert _words("Who opened the bakery of Lund?", "bakery of Lund")["repeats"] == 1.0
    assert _words("Who opened the bakery of Lund?", "Elsa")["repeats"] == 0.0
    assert _words("Who opened the bakery of Lund?", "Elsa")["length"] == pytest.approx(math.log(2))


def test_span_is_judged_by_its_own_passage_whatever_stands_beside_it(
    tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    question, passages = "Who opened it?", [("T", TEXT), ("T", "Something else was opened by Karl."), ("T", "Nothing.")]

    def alone(chosen: list[tuple[str, str]]) -> dict[str, float]:
        pairs = tokenizer.pairs(question, chosen)
        with torch.inference_mode():
            read = read_pairs(tiny_model, tokenizer, pairs, [text for _, text in chosen], [None] * len(chosen))
            span = Span(0, pairs[0].passage_start, pairs[0].passage_start + 1)
            found = evidence_of(question, "T", span, -3.0, read)
            assert heads_alone(span, -3.0, read).items() <= found.items()
        return found

    one, among = alone(passages[:1]), alone(passages)
    assert set(one) == set(EVIDENCE_FEATURES)
    assert one == pytest.approx(among, abs=1e-4)
    assert one["alone"] <= 0
    assert one["decoder"] == pytest.approx(-1.0)


@pytest.mark.slow
def test_wrong_span_copied_exactly_is_not_faithful() -> None:
    reader = Reader.load(SHIPPED_WEIGHTS, model_folder(CARRIED_MODEL), dtype=torch.float32)
    right = reader.read("Who opened the bakery of Lund?", [ReaderPassage(context="Towns", text=TEXT)])
    assert right.answer == "Elsa"
    assert right.faithfulness is not None
    assert right.faithfulness > 0.5
    for question in ("Who closed the library of Oslo?", "How long is the river Thames?", "Who leads the tax office?"):
        wrong = reader.read(question, [ReaderPassage(context="Towns", text=TEXT)])
        assert wrong.answer
        assert wrong.answer in TEXT
        assert wrong.faithfulness is not None
        assert wrong.faithfulness < 0.3 < right.faithfulness


@pytest.mark.slow
def test_every_way_of_answering_is_judged() -> None:
    reader = Reader.load(SHIPPED_WEIGHTS, model_folder(CARRIED_MODEL), dtype=torch.float32)
    passage = ReaderPassage(context="Towns", text=TEXT)
    for mode in ("combined", "span", "decoder"):
        found = reader.read("Who opened the bakery of Lund?", [passage], mode=mode).faithfulness
        assert found is not None
        assert found > 0.5
    assert reader.read("Who opened the bakery of Lund?", []).faithfulness is None
