"""The vector index against a scan in numpy, in both of its kinds."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import IndexDamaged
from rag.index import vectors as module
from rag.index.allowed_ids import AllowedIds
from rag.index.vectors import VectorIndex, VectorIndexKind, least_width

KINDS: tuple[VectorIndexKind, ...] = ("exact", "hnsw")


def _unit(num: int, seed: int = 0, dimension: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(num, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def _ids(*ids: int) -> np.ndarray:
    return np.array(ids, dtype=np.int64)


def _allowed(*ids: int) -> AllowedIds:
    return AllowedIds.of_ids(_ids(*ids))


@pytest.fixture
def small_graphs() -> Iterator[None]:
    """Make graphs of few vectors, and walk them where a scan would be quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GRAPH_FROM", 20)
        patch.setattr(module, "GRAPH_UNTIL", 10)
        patch.setattr(module, "MIN_WIDTH", 1)
        patch.setattr(module, "SCAN_PER_STEP", 1)
        yield


@pytest.fixture(params=KINDS)
def index(request: pytest.FixtureRequest) -> VectorIndex:
    index = VectorIndex(16, kind=request.param)
    index.add(np.arange(100, 150, dtype=np.int64), _unit(50))
    index.optimize()
    assert index.kind == request.param
    return index


def test_search_gives_the_true_neighbours_with_their_cosines(index: VectorIndex) -> None:
    vectors, query = _unit(50).astype(np.float32), _unit(1, seed=1)[0]
    cosines = vectors @ query.astype(np.float32)
    expected = [int(i) + 100 for i in np.argsort(-cosines)[:7]]
    hits = index.search(query, limit=7)
    assert [passage_id for passage_id, _ in hits] == expected
    assert [score for _, score in hits] == pytest.approx(sorted(cosines, reverse=True)[:7], abs=1e-3)


def test_selective_filter_still_returns_the_full_limit(index: VectorIndex) -> None:
    hits = index.search(_unit(1, seed=2)[0], limit=3, allowed=_allowed(149, 103, 120))
    assert {passage_id for passage_id, _ in hits} == {103, 120, 149}


def test_nothing_allowed_finds_nothing(index: VectorIndex) -> None:
    assert index.search(_unit(1)[0], limit=3, allowed=_allowed()) == []
    assert index.search(_unit(1)[0], limit=3, allowed=_allowed(7)) == []
    assert index.search(_unit(1)[0], limit=0) == []
    assert index.search_batch(_unit(0), limit=3) == []
    assert VectorIndex(16).search(_unit(1)[0], limit=3) == []


def test_adding_an_id_again_replaces_its_vector(index: VectorIndex) -> None:
    new = _unit(1, seed=3)
    index.add(_ids(120), new)
    assert len(index) == 50
    assert index.search(new[0], limit=1)[0][0] == 120
    assert [i for i, _ in index.search(_unit(50)[20], limit=50)].count(120) == 1


def test_removed_ids_are_not_found_and_unknown_ones_passed_over(index: VectorIndex) -> None:
    index.remove(_ids(110, 999))
    assert len(index) == 49
    assert 110 not in index.ids
    assert index.search(_unit(50)[10], limit=1)[0][0] != 110
    assert 110 not in dict(index.search(_unit(50)[10], limit=50, allowed=_allowed(*range(105, 120))))


def test_cosines_of_known_passages(index: VectorIndex) -> None:
    query = _unit(50)[3]
    index.add(_ids(7), query[None])
    found = index.cosines(query, [777, 7, 103])
    assert list(found) == [7, 103]
    assert list(found.values()) == pytest.approx([1.0, 1.0], abs=1e-2)
    assert index.cosines(query, []) == {}


def test_vectors_come_back_as_they_went_in(index: VectorIndex) -> None:
    assert index.vectors(_ids(149, 100)).tolist() == _unit(50)[[49, 0]].astype(np.float32).tolist()
    with pytest.raises(KeyError, match="7"):
        index.vectors(_ids(100, 7))


@pytest.mark.parametrize(
    ("ids", "vectors"), [(_ids(1, 1), _unit(2)), (_ids(-1), _unit(1)), (_ids(1), _unit(2)), (_ids(1), _unit(1)[:, :8])]
)
def test_bad_ids_and_shapes_are_refused(index: VectorIndex, ids: np.ndarray, vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="ids"):
        index.add(ids, vectors)
    assert len(index) == 50


def test_nothing_to_add_or_remove_changes_nothing(index: VectorIndex) -> None:
    before = index.stats
    index.add(_ids(), np.zeros((0, 0), dtype=np.float16))
    index.remove(_ids())
    assert index.stats == before


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.integers(0, 47), max_size=24, unique=True)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 60), max_size=12)),
        st.tuples(st.just("optimize"), st.sampled_from([None, 1, 5])),
        st.tuples(st.just("reload"), st.none()),
    ),
    max_size=12,
)


def _check(index: VectorIndex, vectors: dict[int, np.ndarray], *, limit: int, seed: int) -> None:
    """Searches with and without a filter, alone and in a batch, find what a scan of ``vectors`` finds."""
    assert index.ids.tolist() == sorted(vectors)
    assert index.stats.num_vectors == len(index) == len(vectors)
    queries = _unit(3, seed=seed)
    share = np.random.default_rng(seed).random()
    mask = np.random.default_rng(seed + 1).random(48) < share
    for allowed in (None, AllowedIds.of_mask(mask)):
        alone = [index.search(query, limit=limit, allowed=allowed) for query in queries]
        assert index.search_batch(queries, limit=limit, allowed=allowed) == alone
        for query, hits in zip(queries, alone, strict=True):
            true = {
                i: float(vector.astype(np.float64) @ query.astype(np.float64))
                for i, vector in vectors.items()
                if allowed is None or mask[i]
            }
            best = sorted(true.values(), reverse=True)[:limit]
            assert [score for _, score in hits] == pytest.approx(best, abs=1e-5)
            assert [score for _, score in hits] == pytest.approx([true[i] for i, _ in hits], abs=1e-5)
            assert len({i for i, _ in hits}) == len(hits)
            assert [score for _, score in index.exact_search(query, limit=limit, allowed=allowed)] == pytest.approx(
                best, abs=1e-5
            )


@pytest.mark.usefixtures("small_graphs")
@pytest.mark.parametrize("pick_below", [0, 0.5])
@pytest.mark.parametrize("kind", ["auto", *KINDS])
def test_any_sequence_of_changes_leaves_what_a_scan_finds(
    kind: VectorIndexKind,
    pick_below: float,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PICK_BELOW", pick_below)

    @settings(max_examples=20, deadline=None)
    @given(steps=STEPS, limit=st.integers(1, 60), seed=st.integers(0, 10**6))
    def run(steps: list[tuple[str, object]], limit: int, seed: int) -> None:
        index, vectors = VectorIndex(16, kind=kind), dict[int, np.ndarray]()
        for number, (name, value) in enumerate(steps):
            if name == "add":
                assert isinstance(value, list)
                new = _unit(len(value), seed=seed + number)
                index.add(_ids(*value), new)
                vectors |= dict(zip(value, new, strict=True))
            elif name == "remove":
                assert isinstance(value, list)
                index.remove(_ids(*value))
                vectors = {i: vector for i, vector in vectors.items() if i not in value}
            elif name == "optimize":
                assert value is None or isinstance(value, int)
                index.optimize(max_vectors=value)
            else:
                folder = tmp_path_factory.mktemp("saved") / "vectors"
                index.save(folder)
                index = VectorIndex.load(folder, 16, kind=kind)
            _check(index, vectors, limit=limit, seed=seed)

    run()


def _clustered(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, 32) around one centre for each 40, and the number of its centre for each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num // 40, 32))
    labels = rng.integers(len(centres), size=num)
    vectors = centres[labels] + rng.normal(size=(num, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), labels


@pytest.fixture(scope="module")
def graph() -> VectorIndex:
    """A graph of 6,000 clustered vectors under ids from 1."""
    index = VectorIndex(32, kind="hnsw")
    index.add(np.arange(1, 6001, dtype=np.int64), _clustered(6000)[0])
    assert not index.optimize()
    assert (index.kind, index.stats.num_unlinked) == ("hnsw", 0)
    return index


def _recall(index: VectorIndex, allowed: AllowedIds | None, *, limit: int) -> float:
    found = 0
    queries = _clustered(40, seed=0)[0]
    for query in queries:
        true = index.exact_search(query, limit=limit, allowed=allowed)
        hits = index.search(query, limit=limit, allowed=allowed)
        assert len(hits) == len(true)
        found += len({i for i, _ in hits} & {i for i, _ in true})
    return found / (len(queries) * limit)


@pytest.mark.parametrize("share", [1, 0.5, 0.1, 0.02, 0.003])
@pytest.mark.parametrize("scan_per_step", [1, 70])
def test_graph_finds_nearly_everything_at_any_share_allowed(
    graph: VectorIndex, share: float, scan_per_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCAN_PER_STEP", scan_per_step)
    mask = np.random.default_rng(1).random(6001) < share
    assert _recall(graph, AllowedIds.of_mask(mask), limit=10) >= 0.98


@pytest.mark.parametrize("scan_per_step", [1, 70])
def test_filter_that_leaves_only_what_is_far_from_the_query_finds_the_nearest_of_it(
    graph: VectorIndex, scan_per_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCAN_PER_STEP", scan_per_step)
    near = np.zeros(6001, dtype=np.bool_)
    for query in _clustered(40, seed=0)[0]:
        near[[i for i, _ in graph.exact_search(query, limit=300)]] = True
    assert 0 < np.count_nonzero(~near) < 6001
    assert _recall(graph, AllowedIds.of_mask(~near), limit=10) >= 0.98


def test_several_threads_search_one_graph_as_one_does(graph: VectorIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_PER_STEP", 1)
    queries, allowed = _clustered(80, seed=3)[0], AllowedIds.of_ids(np.arange(0, 6001, 3))
    alone = graph.search_batch(queries, limit=10, allowed=allowed)
    found: dict[int, list[list[tuple[int, float]]]] = {}

    def search(number: int) -> None:
        found[number] = [graph.search(query, limit=10, allowed=allowed) for query in queries]

    threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [alone] * 4


@pytest.mark.usefixtures("small_graphs")
def test_graph_is_made_when_there_are_many_and_kept_until_there_are_few() -> None:
    index = VectorIndex(16)
    index.add(np.arange(19, dtype=np.int64), _unit(19))
    assert not index.optimize()
    assert index.kind == "exact"
    index.add(np.arange(19, 40, dtype=np.int64), _unit(21, seed=1))
    assert (index.kind, index.stats.num_unlinked) == ("exact", 40)
    assert index.optimize(max_vectors=30)
    assert (index.kind, index.stats.num_unlinked) == ("hnsw", 10)
    assert not index.optimize(max_vectors=30)
    index.remove(np.arange(30, dtype=np.int64))
    assert not index.optimize()
    assert (index.kind, len(index)) == ("hnsw", 10)
    index.remove(_ids(35))
    assert not index.optimize()
    assert (index.kind, len(index), index.stats.num_removed) == ("exact", 9, 0)


def test_graph_is_made_anew_when_too_much_of_it_is_removed() -> None:
    index = VectorIndex(16, kind="hnsw")
    index.add(np.arange(100, dtype=np.int64), _unit(100))
    index.optimize()
    index.remove(np.arange(20, dtype=np.int64))
    index.optimize()
    assert index.stats.num_removed == 20
    index.remove(_ids(20))
    assert not index.optimize()
    assert (index.kind, index.stats.num_removed, index.stats.num_unlinked, len(index)) == ("hnsw", 0, 0, 79)


def test_scanned_vectors_are_packed_when_many_are_removed() -> None:
    index = VectorIndex(16, kind="exact")
    index.add(np.arange(100, dtype=np.int64), _unit(100))
    before = index.num_bytes
    index.remove(np.arange(21, dtype=np.int64))
    assert index.stats.num_removed == 0
    assert index.num_bytes == before * 79 // 100


def test_half_precision_is_stored(index: VectorIndex) -> None:
    links = 0 if index.kind == "exact" else 50 * 400
    assert index.num_bytes <= 50 * (16 * 2 + 24) + links


def test_saved_index_loads_the_same(index: VectorIndex, tmp_path: Path) -> None:
    index.add(_ids(7), _unit(1, seed=5))
    index.remove(_ids(101))
    index.save(tmp_path / "vectors")
    query = _unit(1, seed=4)[0]
    loaded = VectorIndex.load(tmp_path / "vectors", 16)
    assert loaded.search(query, limit=5) == index.search(query, limit=5)
    assert loaded.stats == index.stats
    loaded.remove(_ids(100))
    loaded.add(_ids(3), query[None])
    assert len(loaded) == 50
    assert loaded.search(query, limit=1)[0][0] == 3


def test_index_loaded_as_exact_gives_its_graph_up(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "vectors")
    loaded = VectorIndex.load(tmp_path / "vectors", 16, kind="exact")
    assert loaded.kind == "exact"
    query = _unit(1, seed=4)[0]
    assert loaded.search(query, limit=5) == index.exact_search(query, limit=5)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _junk(path: Path) -> None:
    path.write_bytes(b"not an index")


@pytest.mark.parametrize("damage", [_cut, _junk, Path.unlink])
@pytest.mark.parametrize("name", ["ids.npy", "rows.faiss", "graph.faiss"])
def test_damaged_files_are_refused(name: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    index = VectorIndex(16, kind="hnsw")
    index.add(np.arange(10, dtype=np.int64), _unit(10))
    index.optimize()
    index.add(np.arange(10, 20, dtype=np.int64), _unit(10))
    index.save(tmp_path / "vectors")
    damage(tmp_path / "vectors" / name)
    with pytest.raises(IndexDamaged, match=str(tmp_path)):
        VectorIndex.load(tmp_path / "vectors", 16)


def test_other_dimensions_and_structures_are_refused(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "vectors")
    with pytest.raises(IndexDamaged, match="another kind"):
        VectorIndex.load(tmp_path / "vectors", 8)
    (tmp_path / "vectors" / "rows.faiss").rename(tmp_path / "vectors" / "graph.faiss")
    index.save(tmp_path / "other")
    (tmp_path / "other" / "rows.faiss").rename(tmp_path / "vectors" / "rows.faiss")
    with pytest.raises(IndexDamaged, match=r"graph\.faiss holds another kind"):
        VectorIndex.load(tmp_path / "vectors", 16)


def test_walk_keeps_more_in_view_of_a_large_graph() -> None:
    assert [least_width(num) for num in (0, 1_000, 100_000)] == [320, 320, 320]
    assert least_width(1_000_000) > 1_000
    assert least_width(10_000_000) < 4_000  # not as the graph grows, or a walk would be as long as a scan
