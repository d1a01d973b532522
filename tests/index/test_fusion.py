import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.index.fusion import fuse

LEG = st.dictionaries(st.integers(0, 30), st.floats(0.01, 50), max_size=10).map(lambda d: sorted(d.items()))


def test_weights_join_scaled_scores() -> None:
    fused = fuse([(1, 8.0), (2, 4.0)], [(2, 0.9), (3, 0.5)], keyword_weight=0.4, cosines={1: 0.1})
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


@given(LEG, LEG, st.floats(0, 1))
def test_every_passage_appears_once_with_a_score_from_0_to_1(
    keyword: list[tuple[int, float]], vector: list[tuple[int, float]], weight: float
) -> None:
    fused = fuse(keyword, vector, keyword_weight=weight, cosines={})
    assert sorted(i for i, _ in fused) == sorted({i for i, _ in keyword} | {i for i, _ in vector})
    values = [scores.fused for _, scores in fused]
    assert all(value is not None and -1e-9 <= value <= 1 + 1e-9 for value in values)
    assert values == sorted(values, key=lambda value: -(value or 0))
