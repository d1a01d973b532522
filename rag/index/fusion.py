"""Fusing the two legs: by their scores, with weights for each query or the same for all, or by the ranks they give.

Adaptive, by standard scores (z: how many deviations a passage's score lies above the mean of all candidates) and with
weights for each query:

    x = v * z(bm25) + (1 - v) * z(cosine),    v / (1 - v) = w / (1 - w) * exp(STANDOUT * (max z(bm25) - max z(cosine)))

    fused = x / max(x), at least 0

So the leg whose best passage stands out more counts more: how far the scores of a search spread predicts how good it is
(Shtok, Kurland, Carmel, Raiber and Markovits, 2012). The best passage has 1, an average candidate 0.

Convex, by scores with the same weights for every query (Bruch, Gai and Ingber, 2023):

    fused = w * bm25 / max(bm25) + (1 - w) * minmax(cosine)

BM25 is zero where nothing matches, so dividing by its maximum keeps its proportions. Cosines of a query crowd into
a narrow band whose place says little, so their own range is stretched to 0..1.

By rank, reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009), scaled so that the first of both legs gets 1:

    fused = w * (k + 1) / (k + rank_keyword) + (1 - w) * (k + 1) / (k + rank_vector)
"""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from rag.records import Fusion, HitScores

RRF_K = 5
"""How slowly a rank loses its worth: small, so that the first places stand out. The custom is 60."""
STANDOUT = 0.7
"""How much a leg gains by a best passage that stands out more than the other leg's: chosen with the default weight of
the keyword leg on the sets that may be tuned on, see docs/retrieval.md."""


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
    fusion: Fusion = "adaptive",
) -> Ranking:
    """Fuse hits (passage id, score) of both legs; equal scores are ordered by passage id.

    ``cosines`` has the cosines of passages that only the keyword leg found: no candidate is judged on half its
    evidence when the other half can be had.
    """
    bm25, similarity = dict(keyword), {**cosines, **dict(vector)}
    keyword_ranks, vector_ranks = _ranks(keyword), _ranks(vector)
    candidates = bm25.keys() | similarity.keys()
    if fusion == "adaptive":
        scores = _by_standout(bm25, similarity, candidates, keyword_weight)
    elif fusion == "rrf":
        scores = _weighed(_by_rank(keyword_ranks), _by_rank(vector_ranks), candidates, keyword_weight)
    else:
        scores = _weighed(_by_maximum(bm25), _by_range(similarity), candidates, keyword_weight)
    return Ranking(
        passage_ids=[one for _, one in sorted((-score, one) for one, score in scores.items())],
        fused={one: max(score, 0.0) for one, score in scores.items()},
        bm25=bm25,
        cosines=similarity,
        keyword_ranks=keyword_ranks,
        vector_ranks=vector_ranks,
    )


def _ranks(hits: Sequence[tuple[int, float]]) -> dict[int, int]:
    return {passage_id: rank for rank, (passage_id, _) in enumerate(hits, start=1)}


def _weighed(
    by_keyword: Mapping[int, float], by_vector: Mapping[int, float], candidates: Set[int], keyword_weight: float
) -> dict[int, float]:
    vector_weight = 1 - keyword_weight
    return {
        one: keyword_weight * by_keyword.get(one, 0.0) + vector_weight * by_vector.get(one, 0.0) for one in candidates
    }


def _by_standout(
    bm25: Mapping[int, float], cosines: Mapping[int, float], candidates: Set[int], keyword_weight: float
) -> dict[int, float]:
    lowest = min(cosines.values(), default=0.0)
    by_keyword = _standard_scores([bm25.get(one, 0.0) for one in candidates])
    by_vector = _standard_scores([cosines.get(one, lowest) for one in candidates])
    ahead = max(by_keyword, default=0.0) - max(by_vector, default=0.0)
    keyword_odds = keyword_weight * math.exp(STANDOUT * ahead)
    share = keyword_odds / (keyword_odds + 1 - keyword_weight)
    weighed = [share * word + (1 - share) * near for word, near in zip(by_keyword, by_vector, strict=True)]
    best = max(weighed, default=0.0)
    # Where none is better than another, all are the best.
    return {one: score / best if best > 0 else 1.0 for one, score in zip(candidates, weighed, strict=True)}


def _standard_scores(scores: Sequence[float]) -> list[float]:
    """How many deviations each lies above the mean; 0 for all where all are equal.

    Sums are exact, so that the order of the scores, which is that of a set, changes no bit.
    """
    num = len(scores) or 1
    mean = math.fsum(scores) / num
    off = [score - mean for score in scores]
    deviation = math.sqrt(math.fsum([one * one for one in off]) / num)
    # Equal scores differ from their mean by rounding.
    return [one / deviation for one in off] if deviation > 1e-9 * abs(mean) else [0.0] * len(off)


def _by_rank(ranks: Mapping[int, int]) -> dict[int, float]:
    return {passage_id: (RRF_K + 1) / (RRF_K + rank) for passage_id, rank in ranks.items()}


def _by_maximum(scores: Mapping[int, float]) -> dict[int, float]:
    best = max(scores.values(), default=0.0)
    return {passage_id: score / best for passage_id, score in scores.items()} if best > 0 else {}


def _by_range(scores: Mapping[int, float]) -> dict[int, float]:
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    spread = high - low
    return {passage_id: (score - low) / spread for passage_id, score in scores.items()} if spread > 0 else {}
