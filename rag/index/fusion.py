"""Fusing the two legs by score: a convex combination (Bruch, Gai and Ingber, 2023).

    fused = w * bm25 / max(bm25) + (1 - w) * minmax(cosine)

BM25 is zero where nothing matches, so dividing by its maximum keeps its proportions. Cosines of a query crowd into
a narrow band whose place says little, so their own range is stretched to 0..1.
"""

from collections.abc import Mapping, Sequence

from rag.records import HitScores


def fuse(
    keyword: Sequence[tuple[int, float]],
    vector: Sequence[tuple[int, float]],
    *,
    keyword_weight: float,
    cosines: Mapping[int, float],
) -> list[tuple[int, HitScores]]:
    """Fuse hits (passage id, score) of both legs, best first; equal scores are ordered by passage id.

    ``cosines`` has the cosines of passages that only the keyword leg found: no candidate is judged on half its
    evidence when the other half can be had.
    """
    bm25 = dict(keyword)
    similarity = {**cosines, **dict(vector)}
    best = max(bm25.values(), default=0.0)
    low, high = min(similarity.values(), default=0.0), max(similarity.values(), default=0.0)
    fused = []
    for passage_id in bm25.keys() | similarity.keys():
        by_keyword = bm25.get(passage_id, 0.0) / best if best > 0 else 0.0
        cosine = similarity.get(passage_id)
        by_vector = (cosine - low) / (high - low) if cosine is not None and high > low else 0.0
        scores = HitScores(
            keyword=bm25.get(passage_id),
            vector=cosine,
            fused=keyword_weight * by_keyword + (1 - keyword_weight) * by_vector,
        )
        fused.append((passage_id, scores))
    return sorted(fused, key=lambda hit: (-(hit[1].fused or 0.0), hit[0]))
