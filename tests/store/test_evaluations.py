"""Evaluation runs and their results."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from rag.errors import NotFound
from rag.store.evaluations import (
    Match,
    Measures,
    QuestionResult,
    add_results,
    count_results,
    finish_evaluation,
    get_evaluation,
    list_evaluations,
    list_results,
    ordinals_done,
    start_evaluation,
    unfinished_evaluations,
)

RESULT = QuestionResult(
    question_id="q1",
    question="How long?",
    reference_answers=("thirty days", "30 days"),
    prediction="thirty days",
    exact_match=1.0,
    f1=1.0,
    abstained=False,
    gold_rank=2,
)
MISSED = QuestionResult(
    question_id="q2",
    question="Why?",
    reference_answers=(),
    prediction="",
    exact_match=0.0,
    f1=0.5,
    abstained=True,
)
MEASURED = replace(
    RESULT,
    measures=Measures(
        ordinal=3,
        article="Leave",
        model="reader-1",
        confidence=0.1 + 0.2,
        abstention_score=0.75,
        always_answering=Match(1.0, 2 / 3),
        with_abstention=Match(0.0, 1 / 3),
        withheld=Match(0.0, 0.0),
        reranked_gold_rank=None,
        num_citations=2,
        num_verified_citations=1,
        timings_ms={"read": 1 / 7, "total": 12.0},
    ),
)


def start(library: Any) -> int:
    with library.database.write() as session:
        return start_evaluation(
            session,
            file="qa.jsonl",
            file_sha256="abc",
            collection_id=library.collection_id,
            settings={"top_k": 8},
        )


def test_evaluation_has_no_metrics_until_it_has_finished(library: Any) -> None:
    run_id = start(library)
    with library.database.read() as session:
        begun = get_evaluation(session, run_id)
    assert (begun.file, begun.file_sha256, begun.collection_id) == ("qa.jsonl", "abc", library.collection_id)
    assert (begun.settings, begun.metrics, begun.finished_at) == ({"top_k": 8}, None, None)
    with library.database.write() as session:
        finish_evaluation(session, run_id, metrics={"f1": 0.75, "by_kind": {"date": None}})
    with library.database.read() as session:
        done = get_evaluation(session, run_id)
    assert done.metrics == {"f1": 0.75, "by_kind": {"date": None}}
    assert done.finished_at is not None
    assert done.finished_at >= done.started_at


def test_results_come_back_in_order(library: Any) -> None:
    run_id = start(library)
    with library.database.write() as session:
        add_results(session, run_id, [RESULT, MISSED])
        add_results(session, run_id, [])
        assert list_results(session, run_id) == [RESULT, MISSED]


def test_measures_come_back_to_the_last_bit_and_older_results_have_none(library: Any) -> None:
    run_id = start(library)
    with library.database.write() as session:
        add_results(session, run_id, [RESULT])
        add_results(session, run_id, [MEASURED])
    with library.database.read() as session:
        assert list_results(session, run_id) == [RESULT, MEASURED]
        assert (count_results(session, run_id), ordinals_done(session, run_id)) == (2, {3})


def test_no_question_of_a_run_is_logged_twice(library: Any) -> None:
    run_id, other = start(library), start(library)
    with library.database.write() as session:
        add_results(session, run_id, [MEASURED])
        add_results(session, other, [MEASURED])
    with pytest.raises(IntegrityError), library.database.write() as session:
        add_results(session, run_id, [MEASURED])


def test_unfinished_evaluations_are_those_of_the_content_and_the_collection(library: Any) -> None:
    first, second, done = start(library), start(library), start(library)
    with library.database.write() as session:
        finish_evaluation(session, done, metrics={})
    with library.database.read() as session:
        of = library.collection_id
        found = unfinished_evaluations(session, file_sha256="abc", collection_id=of)
        assert [run.id for run in found] == [second, first]
        assert unfinished_evaluations(session, file_sha256="other", collection_id=of) == []
        assert unfinished_evaluations(session, file_sha256="abc", collection_id=of + 1) == []


def test_evaluations_are_listed_newest_first(library: Any) -> None:
    first, second = start(library), start(library)
    with library.database.read() as session:
        assert [run.id for run in list_evaluations(session)] == [second, first]
        assert [run.id for run in list_evaluations(session, before_id=second, limit=5)] == [first]
        assert len(list_evaluations(session, limit=1)) == 1


def test_unknown_evaluations_are_not_found(library: Any) -> None:
    with library.database.write() as session:
        with pytest.raises(NotFound):
            get_evaluation(session, 99)
        with pytest.raises(NotFound):
            finish_evaluation(session, 99, metrics={})


def test_results_need_their_evaluation(library: Any) -> None:
    with pytest.raises(IntegrityError), library.database.write() as session:
        add_results(session, 99, [RESULT])
