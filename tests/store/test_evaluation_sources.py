"""The format and origin of what an evaluation's questions were written for."""

from dataclasses import replace
from typing import Any

import pytest

from rag.records import Hit, HitScores
from rag.store.answers import NewAnswer, insert_answer
from rag.store.evaluation_sources import QuestionSource, question_sources
from rag.store.evaluations import Match, Measures, QuestionResult, add_results, start_evaluation


def _hit(document_id: int) -> Hit:
    return Hit(
        passage_id=document_id,
        document_id=document_id,
        document_version=1,
        title="T",
        source="s",
        origin="real",
        headings=(),
        page=None,
        row=None,
        start=0,
        end=4,
        text="some",
        scores=HitScores(),
    )


def _answer(library: Any, *document_ids: int) -> NewAnswer:
    return NewAnswer(
        collection_id=library.collection_id,
        question="Q",
        answer="",
        abstained=True,
        confidence=0.0,
        citations=(),
        passages=[_hit(document_id) for document_id in document_ids],
        scores=(),
        timings_ms={},
        model="m",
        model_sha256=None,
        embedding_model="model",
        index_change_id=0,
    )


def _result(ordinal: int, answer_id: int | None, *, article: str, rank: int | None) -> QuestionResult:
    none = Match(0.0, 0.0)
    return QuestionResult(
        question_id=str(ordinal),
        question="Q",
        reference_answers=("a",),
        prediction="",
        exact_match=0.0,
        f1=0.0,
        abstained=True,
        answer_id=answer_id,
        measures=Measures(
            ordinal=ordinal,
            article=article,
            model="m",
            confidence=0.0,
            abstention_score=0.0,
            always_answering=none,
            with_abstention=none,
            withheld=none,
            reranked_gold_rank=rank,
            num_citations=0,
            num_verified_citations=0,
            timings_ms={},
        ),
    )


@pytest.mark.parametrize("gold_passage", [False, True])
def test_source_is_that_of_the_right_passage_or_of_its_article(library: Any, gold_passage: bool) -> None:
    real = library.add("a", title="Mixed")
    made_up = library.add("b", title="Mixed", origin="synthetic")
    library.add("c", title="Alike", origin="synthetic")
    with library.database.write() as session:
        run_id = start_evaluation(session, file="f", file_sha256="f", collection_id=library.collection_id, settings={})
        read = insert_answer(session, _answer(library, real, made_up))
        results = [
            _result(1, read, article="Mixed", rank=2),
            _result(2, None, article="Alike", rank=None),
            _result(3, read, article="Mixed", rank=None),
            _result(4, None, article="Gone", rank=None),
        ]
        add_results(session, run_id, [*results, replace(results[0], measures=None)])
    with library.database.read() as session:
        found = question_sources(session, run_id, gold_passage=gold_passage)
    expected = {
        1: QuestionSource(media_type="text/plain", origin="synthetic"),
        2: QuestionSource(media_type="text/plain", origin="synthetic"),
    }
    if gold_passage:  # then whatever was read is right
        expected[3] = QuestionSource(media_type="text/plain", origin="real")
    assert found == expected
