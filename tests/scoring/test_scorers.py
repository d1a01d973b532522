"""Each scorer on hits made by hand."""

from dataclasses import replace

import pytest

from rag.index.embedder import CARRIED_MODEL, Embedder
from rag.index.embedders import Embedders
from rag.records import Citation, Hit, HitScores
from rag.scoring.answer_relevancy import AnswerRelevancy
from rag.scoring.answerability import Answerability
from rag.scoring.confidence import Confidence
from rag.scoring.context_precision import ContextPrecision
from rag.scoring.scorer import Judged
from rag.transformer.processor import choose_dtype

TEXT = "Whales are mammals. The support rota is kept by Amara Diallo. Birds fly."


def _hit(passage_id: int, *, relevance: float | None, fused: float) -> Hit:
    return Hit(
        passage_id=passage_id,
        document_id=1,
        document_version=1,
        title="T",
        source="s",
        origin="real",
        headings=(),
        page=None,
        row=None,
        start=100,
        end=100 + len(TEXT),
        text=TEXT,
        scores=HitScores(relevance=relevance, fused=fused),
    )


def _citation(words: str) -> Citation:
    start = 100 + TEXT.index(words)
    return Citation(
        passage_id=1,
        document_id=1,
        document_version=1,
        title="T",
        source="s",
        origin="real",
        page=None,
        row=None,
        start=start,
        end=start + len(words),
        quote=words,
    )


@pytest.fixture(scope="module")
def judged(embedder: Embedder) -> Judged:
    question = "Who keeps the support rota?"
    return Judged(
        question=question,
        embedding_model=CARRIED_MODEL,
        question_vector=embedder.embed([question])[0],
        citations=(_citation("Amara Diallo"),),
        confidence=0.7,
        answerability=0.8,
        faithfulness=0.6,
        hits=(_hit(1, relevance=0.9, fused=0.5),),
    )


def test_answer_out_of_a_sentence_about_the_question_is_more_relevant(judged: Judged) -> None:
    scorer = AnswerRelevancy(Embedders(CARRIED_MODEL, dtype=choose_dtype("auto"), batch_size=4))
    good = scorer.score(judged)
    bad = scorer.score(replace(judged, citations=(_citation("mammals"),)))
    assert good is not None
    assert bad is not None
    assert 1 >= good > bad + 0.3 >= 0.3


def test_nothing_cited_has_no_answer_relevancy(judged: Judged) -> None:
    scorer = AnswerRelevancy(Embedders(CARRIED_MODEL, dtype=choose_dtype("auto"), batch_size=4))
    assert scorer.score(replace(judged, citations=())) is None
    assert scorer.score(replace(judged, hits=())) is None


@pytest.mark.parametrize(
    ("relevance_by_rank", "expected"),
    [
        ([0.9, 0.1, 0.1], 1.0),
        ([0.1, 0.9, 0.1], 1 / 2),
        ([0.9, 0.1, 0.9], (1 + 2 / 3) / 2),
        ([0.1, 0.2, 0.3], 0.0),
    ],
)
def test_context_precision_is_the_average_precision_of_the_retriever_s_order(
    judged: Judged, relevance_by_rank: list[float], expected: float
) -> None:
    hits = tuple(_hit(i, relevance=r, fused=1 - i / 10) for i, r in enumerate(relevance_by_rank))
    shown = tuple(sorted(hits, key=lambda hit: -(hit.scores.relevance or 0)))
    assert ContextPrecision().score(replace(judged, hits=shown)) == pytest.approx(expected)


def test_without_hits_or_relevance_there_is_no_context_precision(judged: Judged) -> None:
    assert ContextPrecision().score(replace(judged, hits=())) is None
    assert ContextPrecision().score(replace(judged, hits=(_hit(1, relevance=None, fused=1),))) is None


def test_confidence_is_the_generator_s(judged: Judged) -> None:
    assert Confidence().score(judged) == 0.7


def test_answerability_is_the_generator_s_where_it_judges_that(judged: Judged) -> None:
    assert Answerability().score(judged) == 0.8
    assert Answerability().score(replace(judged, answerability=None)) is None
