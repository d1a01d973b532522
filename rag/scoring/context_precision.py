"""context_precision: did the retriever put useful passages first?"""

from rag.scoring.scorer import Judged

RELEVANT = 0.5
"""A passage counts as relevant when the reader gives it at least even odds of holding an answer."""


class ContextPrecision:
    """Average precision of the passages as the retriever ranked them, by the reader's relevance.

    After the metric of the same name in RAGAS (Es et al., 2023): the mean of precision@k over the ranks k at which
    a relevant passage stands. 0 when none is relevant.
    """

    metric = "context_precision"
    version = "1"

    def score(self, judged: Judged) -> float | None:
        """0 to 1; None where nothing was retrieved or nothing judged its relevance."""
        if not judged.hits or any(hit.scores.relevance is None for hit in judged.hits):
            return None
        retrieved = sorted(judged.hits, key=lambda hit: (-(hit.scores.fused or 0.0), hit.passage_id))
        num_relevant, precisions = 0, []
        for rank, hit in enumerate(retrieved, start=1):
            if (hit.scores.relevance or 0.0) >= RELEVANT:
                num_relevant += 1
                precisions.append(num_relevant / rank)
        return sum(precisions) / len(precisions) if precisions else 0.0
