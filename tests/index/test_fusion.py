from random import Random
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.index.fusion import STANDOUT, fuse
from rag.records import Fusion

LEG = st.dictionaries(st.integers(0, 30), st.floats(0.01, 50), max_size=10).map(lambda d: sorted(d.items()))


def test_weights_join_standard_scores_and_the_leg_that_stands_out_more_gains() -> None:
    keyword, vector = [(1, 8.0), (2, 4.0)], [(2, 0.9), (3, 0.5)]
    fused = fuse(keyword, vector, keyword_weight=0.4, cosines={1: 0.3, 4: 0.3})
    bm25, cosines = np.array([8.0, 4, 0, 0]), np.array([0.3, 0.9, 0.5, 0.3])  # of the passages 1 to 4
    by_keyword, by_vector = ((x - x.mean()) / x.std() for x in (bm25, cosines))
    odds = 0.4 / 0.6 * np.exp(STANDOUT * (by_keyword.max() - by_vector.max()))
    expected = odds / (1 + odds) * by_keyword + 1 / (1 + odds) * by_vector
    assert [passage_id for passage_id, _ in fused] == (1 + np.argsort(-expected)).tolist()
    scores = [scores.fused for _, scores in sorted(fused)]
    assert scores == pytest.approx(np.maximum(expected / expected.max(), 0))
    assert (scores[1], scores[3]) == (1, 0)  # the best; one below the average


def test_a_leg_counts_more_where_its_best_stands_out_more() -> None:
    flat = [(one, 5.0 + one / 100) for one in range(20)]
    ahead = [(0, 50.0), *flat[1:]]
    near = [(one, 0.5 + one / 100) for one in range(20)]

    def share(keyword: list[tuple[int, float]]) -> float:
        """What is left of the place that the cosines give to the last, whose words are as good as the others'."""
        fused = fuse(sorted(keyword, key=lambda hit: -hit[1]), near[::-1], keyword_weight=0.5, cosines={})
        return dict(fused)[19].fused or 0.0

    assert share(flat) == 1
    assert 0 < share(ahead) < 0.5
    assert fuse(ahead, near[::-1], keyword_weight=0.5, cosines={}).passage_ids[0] == 0


@pytest.mark.parametrize("fusion", get_args(Fusion))
def test_what_nothing_tells_apart_is_ordered_by_number(fusion: Fusion) -> None:
    alike = fuse([(2, 0.1), (1, 0.1), (3, 0.1)], [(3, 0.7), (1, 0.7), (2, 0.7)], keyword_weight=0.3, cosines={})
    assert alike.passage_ids == [1, 2, 3]
    assert set(alike.fused.values()) == {1}
    assert fuse([], [(7, 0.4)], keyword_weight=0.3, cosines={}, fusion=fusion).passage_ids == [7]


def test_convex_joins_scaled_scores() -> None:
    fused = fuse([(1, 8.0), (2, 4.0)], [(2, 0.9), (3, 0.5)], keyword_weight=0.4, cosines={1: 0.1}, fusion="convex")
    scores = dict(fused)
    assert [passage_id for passage_id, _ in fused] == [2, 1, 3]
    assert scores[2].fused == pytest.approx(0.4 * 0.5 + 0.6 * 1.0)
    assert scores[1].fused == pytest.approx(0.4 * 1.0 + 0.6 * 0.0)
    assert scores[3].fused == pytest.approx(0.6 * 0.5)
    assert (scores[3].keyword, scores[1].vector) == (None, 0.1)


def test_ranks_are_fused_by_their_reciprocals() -> None:
    fused = fuse([(1, 8.0), (2, 4.0)], [(2, 0.9), (3, 0.5)], keyword_weight=0.4, cosines={1: 0.1}, fusion="rrf")
    assert [passage_id for passage_id, _ in fused] == [2, 3, 1]
    scores = dict(fused)
    assert scores[2].fused == pytest.approx(0.4 * 6 / 7 + 0.6)
    assert scores[3].fused == pytest.approx(0.6 * 6 / 7)
    assert scores[1].fused == pytest.approx(0.4)  # its cosine gives it no rank
    assert (scores[2].keyword_rank, scores[2].vector_rank) == (2, 1)
    assert (scores[1].keyword_rank, scores[1].vector_rank) == (1, None)


def test_one_leg_alone_keeps_its_order() -> None:
    assert fuse([(5, 3.0), (1, 2.0)], [], keyword_weight=1.0, cosines={}).passage_ids == [5, 1]
    assert fuse([], [(5, 0.3), (1, -0.2)], keyword_weight=0.0, cosines={}).passage_ids == [5, 1]


def test_nothing_found_fuses_to_nothing() -> None:
    assert list(fuse([], [], keyword_weight=0.5, cosines={})) == []


@given(LEG, LEG, st.floats(0, 1), st.sampled_from(get_args(Fusion)))
def test_every_passage_appears_once_with_a_score_from_0_to_1(
    keyword: list[tuple[int, float]], vector: list[tuple[int, float]], weight: float, fusion: Fusion
) -> None:
    fused = fuse(keyword, vector, keyword_weight=weight, cosines={}, fusion=fusion)
    assert sorted(i for i, _ in fused) == sorted({i for i, _ in keyword} | {i for i, _ in vector})
    values = [scores.fused for _, scores in fused]
    assert all(value is not None and -1e-9 <= value <= 1 + 1e-9 for value in values)
    assert values == sorted(values, key=lambda value: -(value or 0))


@given(LEG, LEG, st.floats(0, 1), st.sampled_from(get_args(Fusion)), st.randoms())
def test_the_order_in_which_passages_come_changes_no_bit(
    keyword: list[tuple[int, float]],
    vector: list[tuple[int, float]],
    weight: float,
    fusion: Fusion,
    random: Random,
) -> None:
    cosines = {one: 0.25 for one, _ in keyword}
    fused = fuse(keyword, vector, keyword_weight=weight, cosines=cosines, fusion=fusion)
    other = list(cosines.items())
    random.shuffle(other)
    again = fuse(keyword, vector, keyword_weight=weight, cosines=dict(other), fusion=fusion)
    assert (fused.passage_ids, fused.fused) == (again.passage_ids, again.fused)
