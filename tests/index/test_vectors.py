from pathlib import Path

import numpy as np
import pytest

from rag.errors import IndexDamaged
from rag.index.vectors import VectorIndex


def _unit(num: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(num, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture
def index() -> VectorIndex:
    index = VectorIndex(16)
    index.add(np.arange(100, 150, dtype=np.int64), _unit(50))
    return index


def test_search_gives_the_true_neighbours_with_their_cosines(index: VectorIndex) -> None:
    vectors, query = _unit(50).astype(np.float32), _unit(1, seed=1)[0]
    cosines = vectors @ query.astype(np.float32)
    expected = [int(i) + 100 for i in np.argsort(-cosines)[:7]]
    hits = index.search(query, limit=7)
    assert [passage_id for passage_id, _ in hits] == expected
    assert [score for _, score in hits] == pytest.approx(sorted(cosines, reverse=True)[:7], abs=1e-3)


def test_selective_filter_still_returns_the_full_limit(index: VectorIndex) -> None:
    allowed = np.array([149, 103, 120], dtype=np.int64)
    hits = index.search(_unit(1, seed=2)[0], limit=3, allowed=allowed)
    assert {passage_id for passage_id, _ in hits} == {103, 120, 149}


def test_nothing_allowed_finds_nothing(index: VectorIndex) -> None:
    assert index.search(_unit(1)[0], limit=3, allowed=np.array([], dtype=np.int64)) == []
    assert VectorIndex(16).search(_unit(1)[0], limit=3) == []


def test_adding_an_id_again_replaces_its_vector(index: VectorIndex) -> None:
    new = _unit(1, seed=3)
    index.add(np.array([120], dtype=np.int64), new)
    assert len(index) == 50
    assert index.search(new[0], limit=1)[0][0] == 120


def test_removed_ids_are_not_found_and_unknown_ones_passed_over(index: VectorIndex) -> None:
    index.remove(np.array([110, 999], dtype=np.int64))
    assert len(index) == 49
    assert index.search(_unit(50)[10], limit=1)[0][0] != 110


def test_cosines_of_known_passages(index: VectorIndex) -> None:
    query = _unit(50)[3]
    found = index.cosines(query, [103, 777])
    assert list(found) == [103]
    assert found[103] == pytest.approx(1.0, abs=1e-2)
    assert index.cosines(query, []) == {}


def test_saved_index_loads_the_same(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "v.faiss")
    query = _unit(1, seed=4)[0]
    loaded = VectorIndex.load(tmp_path / "v.faiss", 16)
    assert loaded.search(query, limit=5) == index.search(query, limit=5)
    loaded.remove(np.array([100], dtype=np.int64))
    assert len(loaded) == 49


def test_other_files_and_dimensions_are_refused(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "v.faiss")
    with pytest.raises(IndexDamaged, match="another kind"):
        VectorIndex.load(tmp_path / "v.faiss", 8)
    (tmp_path / "v.faiss").write_bytes(b"not an index")
    with pytest.raises(IndexDamaged, match="not a FAISS index"):
        VectorIndex.load(tmp_path / "v.faiss", 16)
