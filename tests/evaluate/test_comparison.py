"""Two evaluations side by side, over rows that are written by hand, on both databases."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from rag.errors import InvalidInput, NotFound
from rag.evaluate.comparison import UNKNOWN, Comparison, compare_evaluations
from rag.evaluate.gate import judge
from rag.evaluate.slices import FEW, slices_of
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.evaluations import Match, Measures, QuestionResult, add_results, finish_evaluation, start_evaluation

KINDS = ("Who opened mill {}?", "When was mill {} opened?", "Why did mill {} close?")


def _result(number: int, f1: float, *, abstained: bool = False, rank: int | None = 1) -> QuestionResult:
    return QuestionResult(
        question_id=str(number),
        question=KINDS[number % 3].format(number),
        reference_answers=("Elsa",),
        prediction="" if abstained else f"words of {f1}",
        exact_match=float(f1 == 1.0),
        f1=f1,
        abstained=abstained,
        gold_rank=rank,
        measures=Measures(
            ordinal=number + 1,
            article="Lund" if number % 2 else "Malmo",
            model="reader-1",
            confidence=0.5,
            abstention_score=0.5,
            always_answering=Match(float(f1 == 1.0), f1),
            with_abstention=Match(float(f1 == 1.0), f1),
            withheld=Match(0.0, 0.0),
            reranked_gold_rank=None,
            num_citations=1,
            num_verified_citations=1,
            timings_ms={},
        ),
    )


def _run(
    database: Database, results: Sequence[QuestionResult], *, finished: bool = True, file: str = "a", **settings: Any
) -> int:
    with database.write() as session:
        collection = get_or_create_collection(session, "handbooks", embedding_model="model")
        run_id = start_evaluation(
            session,
            file=file,
            file_sha256=file,
            collection_id=collection.id,
            settings={"gold_passage": False, "seed": 0, **settings},
        )
        add_results(session, run_id, results)
        if finished:
            finish_evaluation(session, run_id, metrics={"f1": 0.5, "num_questions": len(results)})
    return run_id


def _compare(database: Database, a: Sequence[QuestionResult], b: Sequence[QuestionResult]) -> Comparison:
    return compare_evaluations(database, _run(database, a), _run(database, b))


def test_questions_that_got_better_and_worse_are_told_apart(database: Database) -> None:
    a = [_result(0, 1.0), _result(1, 0.5), _result(2, 0.0), _result(3, 0.4)]
    b = [_result(0, 0.2), _result(1, 0.1), _result(2, 1.0), _result(3, 0.4)]
    compared = _compare(database, a, b)
    assert (compared.num_questions, compared.num_same) == (4, 1)
    assert [one.question_id for one in compared.worse] == ["0", "1"]
    assert [(one.question_id, one.f1_a, one.f1_b) for one in compared.better] == [("2", 0.0, 1.0)]
    assert compared.worse[0].prediction_b == "words of 0.2"


def test_figures_have_their_difference_interval_and_test(database: Database) -> None:
    a = [_result(n, 0.0, abstained=n < 2, rank=2) for n in range(12)]
    b = [_result(n, 1.0, rank=1 if n < 10 else None) for n in range(12)]
    compared = _compare(database, a, b)
    exact = compared.figure("exact_match")
    assert (exact.a, exact.b, exact.difference, exact.low, exact.high) == (0.0, 1.0, 1.0, 1.0, 1.0)
    assert exact.p_value == pytest.approx(2 / 2**12)
    assert exact.is_significant
    assert compared.figure("f1").p_value < 0.002
    abstained = compared.figure("abstained")
    assert (abstained.difference, abstained.p_value) == (pytest.approx(-2 / 12), 0.5)
    assert not abstained.is_significant
    assert compared.figure("hit_at_1").b == pytest.approx(10 / 12)
    assert abstained.low <= abstained.difference <= abstained.high


def test_settings_that_differ_are_named(database: Database) -> None:
    results = [_result(0, 1.0)]
    compared = compare_evaluations(database, _run(database, results, top_k=8), _run(database, results, top_k=4))
    assert compared.changed == {"top_k": (8, 4)}
    assert compared.num_same == 1


def test_without_a_search_there_is_no_hit_at_1(database: Database) -> None:
    results = [_result(0, 1.0, rank=None)]
    runs = [_run(database, results), _run(database, results, gold_passage=True)]
    assert "hit_at_1" not in {figure.name for figure in compare_evaluations(database, *runs).figures}


def test_other_questions_are_refused_in_one_sentence(database: Database) -> None:
    a = _run(database, [_result(0, 1.0), _result(1, 1.0)])
    b = _run(database, [_result(0, 1.0), _result(2, 1.0)])
    with pytest.raises(InvalidInput, match=f"{a} and {b} do not ask the same questions: 1 of the 2 .* --limit"):
        compare_evaluations(database, a, b)
    fewer = _run(database, [_result(0, 1.0)])
    with pytest.raises(InvalidInput, match=f"are not in evaluation {fewer}"):
        compare_evaluations(database, fewer, a)
    other_answers = _run(database, [replace(_result(0, 1.0), reference_answers=("Karl",)), _result(1, 1.0)])
    with pytest.raises(InvalidInput, match="same questions"):
        compare_evaluations(database, a, other_answers)


def test_question_that_a_file_repeats_is_paired_in_order(database: Database) -> None:
    twice = [_result(0, 1.0), replace(_result(0, 0.0), measures=None)]
    compared = _compare(database, twice, twice)
    assert (compared.num_questions, compared.num_same) == (2, 2)


def test_unfinished_and_unknown_evaluations_are_refused(database: Database) -> None:
    done, begun = _run(database, [_result(0, 1.0)]), _run(database, [_result(0, 1.0)], finished=False)
    with pytest.raises(InvalidInput, match=f"{begun} has not finished; .* --resume"):
        compare_evaluations(database, done, begun)
    with pytest.raises(NotFound):
        compare_evaluations(database, done, 99)


def test_kind_of_question_that_is_answered_worse_is_found(database: Database) -> None:
    results = [_result(n, 0.0 if n % 3 == 2 else 1.0) for n in range(90)]
    compared = _compare(database, results, results)
    found = {(one.dimension, one.value): one for one in compared.slices}
    why, who = found["kind", "why"], found["kind", "who"]
    assert (why.num_questions, why.f1_b, why.rest_f1_b, why.behind_rest) == (30, 0.0, 1.0, 1.0)
    assert why.behind_rest_p is not None
    assert why.behind_rest_p < 0.05
    assert who.behind_rest == -0.5
    assert found["source", "Lund"].behind_rest_p == 1.0
    assert found["collection", "handbooks"].behind_rest is None
    assert found["format", UNKNOWN].num_questions == 90
    assert all(one.difference == 0.0 and one.difference_p == 1.0 for one in compared.slices)


def test_small_groups_are_not_cried_about() -> None:
    values = ["large"] * 40 + ["tiny"] * 3 + ["small"] * 4
    f1 = [1.0] * 40 + [0.0] * 7
    large, few = slices_of(f1, f1, {"source": values})
    assert (large.value, large.num_questions) == ("large", 40)
    assert (few.value, few.num_questions, few.difference_p, few.behind_rest_p) == (FEW, 7, None, None)


def test_p_values_of_groups_are_corrected_for_their_number() -> None:
    f1_a = [0.0] * 60
    f1_b = [1.0] * 6 + [0.0] * 54
    alone = slices_of(f1_a[:20], f1_b[:20], {"one": ["x"] * 20})[0]
    among = slices_of(f1_a, f1_b, {"one": ["x"] * 20 + ["y"] * 20 + ["z"] * 20})[0]
    assert alone.difference_p is not None
    assert among.difference_p == pytest.approx(3 * alone.difference_p)


def test_gate_fails_where_answers_got_worse_by_more_than_the_margin(database: Database) -> None:
    a = _run(database, [_result(n, 1.0) for n in range(50)])
    b = _run(database, [_result(n, 0.0 if n == 0 else 1.0) for n in range(50)])
    verdict = judge(database, baseline=a)
    assert not verdict.passed
    assert verdict.comparison.b.id == b
    assert "it fell by more than 0.01" in verdict.reasons[0]
    lenient = judge(database, baseline=a, run=b, max_drop=0.02)
    assert lenient.passed
    assert "may be chance" in lenient.reasons[0]


def test_gate_fails_where_answers_got_significantly_worse_within_the_margin(database: Database) -> None:
    a = _run(database, [_result(n, 1.0) for n in range(200)])
    b = _run(database, [_result(n, 0.0 if n < 8 else 1.0) for n in range(200)])
    verdict = judge(database, baseline=a, run=b, max_drop=0.5)
    assert not verdict.passed
    assert "significant" in verdict.reasons[0]


def test_gate_passes_what_got_better(database: Database) -> None:
    a, b = _run(database, [_result(0, 0.5)]), _run(database, [_result(0, 1.0)])
    verdict = judge(database, baseline=a, run=b, max_drop=0.0)
    assert verdict.passed
    assert all("did not fall" in reason for reason in verdict.reasons)


def test_gate_without_another_evaluation_says_so(database: Database) -> None:
    a = _run(database, [_result(0, 1.0)])
    _run(database, [_result(0, 1.0)], finished=False)
    _run(database, [_result(0, 1.0)], file="another")
    with pytest.raises(InvalidInput, match="No evaluation of the same file has finished since"):
        judge(database, baseline=a)
    with pytest.raises(InvalidInput, match="against itself"):
        judge(database, baseline=a, run=a)
    with pytest.raises(InvalidInput, match="--max-drop"):
        judge(database, baseline=a, max_drop=2)
