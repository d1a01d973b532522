"""The figures of ``rag evaluate qa``, made of what SQL holds of a run and of nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rag.errors import InvalidInput
from rag.evaluate.confidence_metrics import (
    Judged,
    auroc,
    calibration_by_halves,
    expected_calibration_error,
    reliability_bins,
    threshold_by_halves,
)
from rag.evaluate.metrics import latency_ms, retrieval_metrics
from rag.store.database import Database
from rag.store.evaluations import Match, Measures, QuestionResult, get_evaluation, list_results
from rag.training.calibration import RIGHT_F1


def figures_of_run(database: Database, run_id: int) -> dict[str, Any]:
    """The figures of the questions that were logged of a run so far, finished or not.

    Raises:
        NotFound: there is no such evaluation.
        InvalidInput: no question of it was logged, or an older version logged them without what figures are made of.
    """
    with database.read() as session:
        settings = get_evaluation(session, run_id).settings
        results = list_results(session, run_id)
    if not results:
        raise InvalidInput(f"No question of evaluation {run_id} has been answered yet.")
    measured = [(result, result.measures) for result in results if result.measures is not None]
    if len(measured) < len(results):
        raise InvalidInput(f"An older version of this program logged evaluation {run_id}; its figures are in metrics.")
    return {
        "evaluation_run_id": run_id,
        **_figures(
            [result for result, _ in measured],
            [measures for _, measures in measured],
            gold_passage=settings["gold_passage"],
            seed=settings["seed"],
        ),
    }


def _figures(
    results: Sequence[QuestionResult], measures: Sequence[Measures], *, gold_passage: bool, seed: int
) -> dict[str, Any]:
    num = len(results)
    num_citations = sum(one.num_citations for one in measures)
    num_verified = sum(one.num_verified_citations for one in measures)
    none = dict.fromkeys(retrieval_metrics([]))
    return {
        **_means(Match(result.exact_match, result.f1) for result in results),
        **(none if gold_passage else retrieval_metrics([result.gold_rank for result in results])),
        "abstained": sum(result.abstained for result in results) / num,
        "citations_verified": num_verified / num_citations if num_citations else 1.0,
        "num_questions": num,
        "latency_ms": latency_ms(one.timings_ms for one in measures),
        "always_answering": _means(one.always_answering for one in measures),
        "with_abstention": _means(one.with_abstention for one in measures),
        "confidence": _confidence([bool(result.reference_answers) for result in results], measures, seed=seed),
        "reranked": None if gold_passage else retrieval_metrics([one.reranked_gold_rank for one in measures]),
        "model": measures[0].model,
    }


def _confidence(answerable: Sequence[bool], measures: Sequence[Measures], *, seed: int) -> dict[str, Any]:
    """How well the confidence tells right answers from wrong ones, and the abstention score questions without one.

    Over all answers, given or withheld.
    ``threshold_by_halves`` is there only where the file has questions without an answer.
    """
    confidences = [one.confidence for one in measures]
    right = [can and one.always_answering.f1 >= RIGHT_F1 for can, one in zip(answerable, measures, strict=True)]
    bins = reliability_bins(confidences, right)
    judged = [
        Judged(
            group=one.article,
            abstention_score=one.abstention_score,
            exact_match=one.always_answering.exact_match,
            f1=one.always_answering.f1,
            withheld_exact_match=one.withheld.exact_match,
            withheld_f1=one.withheld.f1,
        )
        for one in measures
    ]
    return {
        "expected_calibration_error": expected_calibration_error(bins),
        "calibration_by_halves": calibration_by_halves(confidences, right, [one.group for one in judged], seed=seed),
        "auroc_right": auroc(confidences, right),
        "auroc_answerable": auroc([one.abstention_score for one in judged], answerable),
        "threshold_by_halves": None if all(answerable) else threshold_by_halves(judged, seed=seed),
        "bins": [asdict(one) for one in bins],
    }


def _means(figures: Iterable[Match]) -> dict[str, float]:
    exact_matches, f1s = zip(*figures, strict=True)
    return {"exact_match": sum(exact_matches) / len(exact_matches), "f1": sum(f1s) / len(f1s)}
