"""Fusing the two legs: by their scores, or by the ranks they give.

By score, a convex combination (Bruch, Gai and Ingber, 2023):

    fused = w * bm25 / max(bm25) + (1 - w) * minmax(cosine)

BM25 is zero where nothing matches, so dividing by its maximum keeps its proportions. Cosines of a query crowd into
a narrow band whose place says little, so their own range is stretched to 0..1.

By rank, reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009), scaled so that the first of both legs gets 1:

    fused = w * (k + 1) / (k + rank_keyword) + (1 - w) * (k + 1) / (k + rank_vector)
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from rag.records import Fusion, HitScores

RRF_K = 5
"""How slowly a rank loses its worth: small, so that the first places stand out. The custom is 60."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """What both legs found, best first. Iterating gives each passage id with its scores.

    Many more are ranked than anyone looks at, so the scores of a passage are put together when they are asked for.
    """

    passage_ids: Sequence[int]
    fused: Mapping[int, float]
    bm25: Mapping[int, float]
    cosines: Mapping[int, float]
    keyword_ranks: Mapping[int, int]
    vector_ranks: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.passage_ids)

    def __iter__(self) -> Iterator[tuple[int, HitScores]]:
        return self.scored(self.passage_ids)

    def scored(self, passage_ids: Sequence[int]) -> Iterator[tuple[int, HitScores]]:
        """Some of its passages, each with its scores."""
        for passage_id in passage_ids:
            yield (
                passage_id,
                HitScores(
                    keyword=self.bm25.get(passage_id),
                    vector=self.cosines.get(passage_id),
                    fused=self.fused[passage_id],
                    keyword_rank=self.keyword_ranks.get(passage_id),
                    vector_rank=self.vector_ranks.get(passage_id),
                ),
            )

    def without(self, passage_ids: Set[int]) -> "Ranking":
        """The same without some passages."""
        return replace(self, passage_ids=[one for one in self.passage_ids if one not in passage_ids])


def fuse(
    keyword: Sequence[tuple[int, float]],
    vector: Sequence[tuple[int, float]],
    *,
    keyword_weight: float,
    cosines: Mapping[int, float],
    fusion: Fusion = "convex",
) -> Ranking:
    """Fuse hits (passage id, score) of both legs; equal scores are ordered by passage id.

    ``cosines`` has the cosines of passages that only the keyword leg found: no candidate is judged on half its
    evidence when the other half can be had.
    """
    bm25, similarity = dict(keyword), {**cosines, **dict(vector)}
    keyword_ranks, vector_ranks = _ranks(keyword), _ranks(vector)
    if fusion == "rrf":
        by_keyword, by_vector = _by_rank(keyword_ranks), _by_rank(vector_ranks)
    else:
        by_keyword, by_vector = _by_maximum(bm25), _by_range(similarity)
    vector_weight = 1 - keyword_weight
    fused = {
        one: keyword_weight * by_keyword.get(one, 0.0) + vector_weight * by_vector.get(one, 0.0)
        for one in bm25.keys() | similarity.keys()
    }
    return Ranking(
        passage_ids=[one for _, one in sorted((-score, one) for one, score in fused.items())],
        fused=fused,
        bm25=bm25,
        cosines=similarity,
        keyword_ranks=keyword_ranks,
        vector_ranks=vector_ranks,
    )


def _ranks(hits: Sequence[tuple[int, float]]) -> dict[int, int]:
    return {passage_id: rank for rank, (passage_id, _) in enumerate(hits, start=1)}


def _by_rank(ranks: Mapping[int, int]) -> dict[int, float]:
    return {passage_id: (RRF_K + 1) / (RRF_K + rank) for passage_id, rank in ranks.items()}


def _by_maximum(scores: Mapping[int, float]) -> dict[int, float]:
    best = max(scores.values(), default=0.0)
    return {passage_id: score / best for passage_id, score in scores.items()} if best > 0 else {}


def _by_range(scores: Mapping[int, float]) -> dict[int, float]:
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    spread = high - low
    return {passage_id: (score - low) / spread for passage_id, score in scores.items()} if spread > 0 else {}
