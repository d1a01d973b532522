"""Fusing the two legs: by their scores, or by the ranks they give.

By score, a convex combination (Bruch, Gai and Ingber, 2023):

    fused = w * bm25 / max(bm25) + (1 - w) * minmax(cosine)

BM25 is zero where nothing matches, so dividing by its maximum keeps its proportions. Cosines of a query crowd into
a narrow band whose place says little, so their own range is stretched to 0..1.

By rank, reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009), scaled so that the first of both legs gets 1:

    fused = w * (k + 1) / (k + rank_keyword) + (1 - w) * (k + 1) / (k + rank_vector)
"""

from collections.abc import Mapping, Sequence

from rag.records import Fusion, HitScores

RRF_K = 5
"""How slowly a rank loses its worth: small, so that the first places stand out. The custom is 60."""


def fuse(
    keyword: Sequence[tuple[int, float]],
    vector: Sequence[tuple[int, float]],
    *,
    keyword_weight: float,
    cosines: Mapping[int, float],
    fusion: Fusion = "convex",
) -> list[tuple[int, HitScores]]:
    """Fuse hits (passage id, score) of both legs, best first; equal scores are ordered by passage id.

    ``cosines`` has the cosines of passages that only the keyword leg found: no candidate is judged on half its
    evidence when the other half can be had.
    """
    bm25, similarity = dict(keyword), {**cosines, **dict(vector)}
    keyword_ranks, vector_ranks = _ranks(keyword), _ranks(vector)
    best = max(bm25.values(), default=0.0)
    low, high = min(similarity.values(), default=0.0), max(similarity.values(), default=0.0)
    fused = []
    for passage_id in bm25.keys() | similarity.keys():
        cosine = similarity.get(passage_id)
        if fusion == "rrf":
            by_keyword, by_vector = (_by_rank(ranks.get(passage_id)) for ranks in (keyword_ranks, vector_ranks))
        else:
            by_keyword = bm25.get(passage_id, 0.0) / best if best > 0 else 0.0
            by_vector = (cosine - low) / (high - low) if cosine is not None and high > low else 0.0
        scores = HitScores(
            keyword=bm25.get(passage_id),
            vector=cosine,
            fused=keyword_weight * by_keyword + (1 - keyword_weight) * by_vector,
            keyword_rank=keyword_ranks.get(passage_id),
            vector_rank=vector_ranks.get(passage_id),
        )
        fused.append((passage_id, scores))
    return sorted(fused, key=lambda hit: (-(hit[1].fused or 0.0), hit[0]))


def _ranks(hits: Sequence[tuple[int, float]]) -> dict[int, int]:
    return {passage_id: rank for rank, (passage_id, _) in enumerate(hits, start=1)}


def _by_rank(rank: int | None) -> float:
    return 0.0 if rank is None else (RRF_K + 1) / (RRF_K + rank)
