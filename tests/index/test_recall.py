from typing import Any

import numpy as np
import pytest

from rag.index import vectors as module
from rag.index.recall import MIN_RECALL, measure_recall
from rag.index.vectors import VectorIndex


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> VectorIndex:
    monkeypatch.setattr(module, "SCAN_PER_STEP", 1)
    vectors = np.random.default_rng(0).normal(size=(3000, 16))
    index = VectorIndex(16, kind="hnsw")
    index.add(np.arange(3000), (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    index.optimize()
    return index


def test_good_graph_finds_what_a_scan_finds(graph: VectorIndex) -> None:
    assert MIN_RECALL <= measure_recall(graph) <= 1


def test_walk_that_misses_the_nearest_is_noticed(graph: VectorIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = module.storage.walk

    def walk_past_the_first(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        scores, positions = walk(*arguments)
        return scores[:, 1:], positions[:, 1:]

    monkeypatch.setattr(module.storage, "walk", walk_past_the_first)
    assert measure_recall(graph) == pytest.approx(0.9, abs=0.01)


def test_exact_and_empty_indexes_miss_nothing() -> None:
    assert measure_recall(VectorIndex(16)) == 1
    assert measure_recall(VectorIndex(16, kind="hnsw")) == 1
