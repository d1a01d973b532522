"""Retrieval and latency figures over many questions, and what of an answer is compared."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rag.generators.generator import Generation
from rag.records import Hit

_MARK = re.compile(r"\s*\[\d+\]")


def words_to_compare(generation: Generation) -> str:
    """The answer without the citation marks that a language model's sentences end with."""
    return _MARK.sub("", generation.answer) if generation.confidence_kind == "support" else generation.answer


def gold_rank(hits: Sequence[Hit], document_id: int | None) -> int | None:
    """The rank, from 1, of the first passage of the gold document; None if it was not found."""
    return next((rank for rank, hit in enumerate(hits, start=1) if hit.document_id == document_id), None)


def share_within(ranks: Sequence[int | None], k: int) -> float:
    """hit@k: the share of questions whose gold document stands within the first ``k``; 0 without questions."""
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks) if ranks else 0.0


def mean_reciprocal_rank(ranks: Sequence[int | None], k: int) -> float:
    """MRR@k (Voorhees, 1999): the mean of 1 / rank, 0 where the gold document is not within the first ``k``."""
    return sum(1 / rank for rank in ranks if rank is not None and rank <= k) / len(ranks) if ranks else 0.0


def ndcg(ranked: Sequence[int], grades: Mapping[int, int], *, k: int) -> float:
    """nDCG@k (Järvelin and Kekäläinen, 2002) with the grade as the gain, as TREC's evaluation has it; 0 to 1.

    ``grades`` has the relevant documents; all others gain nothing.
    """
    gain = sum(grades.get(one, 0) / math.log2(rank + 1) for rank, one in enumerate(ranked[:k], start=1))
    best = sorted(grades.values(), reverse=True)[:k]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, start=1))
    return gain / ideal if ideal else 0.0


def recall(ranked: Sequence[int], grades: Mapping[int, int], *, k: int) -> float:
    """recall@k: the share of the relevant documents within the first ``k``; 0 where there are none."""
    return len(grades.keys() & set(ranked[:k])) / len(grades) if grades else 0.0


def retrieval_metrics(ranks: Sequence[int | None]) -> dict[str, float]:
    """The four figures that every evaluation states."""
    return {
        "hit_at_1": share_within(ranks, 1),
        "hit_at_5": share_within(ranks, 5),
        "hit_at_10": share_within(ranks, 10),
        "mrr_at_10": mean_reciprocal_rank(ranks, 10),
    }


def latency_ms(timings: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The median and the 95th percentile of each stage, in milliseconds."""
    by_stage: dict[str, list[float]] = {}
    for timing in timings:
        for stage, value in timing.items():
            by_stage.setdefault(stage, []).append(value)
    return {
        stage: {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95))}
        for stage, values in by_stage.items()
    }
