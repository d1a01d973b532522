"""What speaks for a span as the answer, and what the shipped reader makes of right and wrong ones."""

import pytest
import torch

from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.reader.decode import Span, read_pairs
from rag.reader.evidence import EVIDENCE_FEATURES, evidence_of, share_near
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.reader.reader import Reader, ReaderPassage

TEXT = (
    "The bakery of Lund burnt down in 1911. It was opened by Elsa in 1874 and gave work to 30 people. "
    "The brewery of Malmo was opened by Karl."
)


def _near(question: str, answer: str, *, context: str = "Towns") -> float:
    start = TEXT.index(answer)
    return share_near(question, context, TEXT, start, start + len(answer))


def test_what_the_question_speaks_of_is_looked_for_beside_the_span() -> None:
    assert _near("Who opened the bakery of Lund?", "Elsa") == 1.0
    assert _near("Who opened the brewery of Malmo?", "Karl") == 1.0
    far = _near("Who opened the bakery of Lund?", "Karl")
    assert far == pytest.approx(1 / 3)  # Lund and its bakery stand two sentences away
    assert _near("Who opened the bakery of Lund?", "Karl", context="Lund") == pytest.approx(2 / 3)
    assert _near("Who is it?", "Karl") == 1.0


def test_span_is_judged_by_its_own_passage_whatever_stands_beside_it(
    tokenizer: ReaderTokenizer, tiny_model: ReaderModel
) -> None:
    question, passages = "Who opened it?", [("T", TEXT), ("T", "Something else was opened by Karl."), ("T", "Nothing.")]

    def alone(chosen: list[tuple[str, str]]) -> dict[str, float]:
        pairs = tokenizer.pairs(question, chosen)
        with torch.inference_mode():
            read = read_pairs(tiny_model, tokenizer, pairs, [text for _, text in chosen], [None] * len(chosen))
            span = Span(0, pairs[0].passage_start, pairs[0].passage_start + 1)
            return evidence_of(question, "T", span, -3.0, read)

    one, among = alone(passages[:1]), alone(passages)
    assert set(one) == set(EVIDENCE_FEATURES)
    assert one == pytest.approx(among, abs=1e-4)
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
