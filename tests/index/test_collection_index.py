"""The indexes against SQL: replay, snapshots, damage, rebuilding without embedding again."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rag.errors import IndexDamaged, InvalidInput
from rag.index import collection_index
from rag.index.collection_index import CollectionIndex
from rag.index.embedder import CARRIED_MODEL
from rag.index.embedders import Embedders
from rag.index.index_set import IndexSet
from rag.index.keyword import KeywordIndex
from rag.index.vectors import VectorIndex, VectorIndexKind
from rag.records import Document, Passage, Section
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import DocumentDetails, insert_document, mark_deleted
from rag.store.passages import replace_passages

MODEL = "model"


class Corpus:
    """Documents of one passage each, with vectors that need no model."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        with database.write() as session:
            self.collection = get_or_create_collection(session, "c", embedding_model=MODEL)

    def add(self, text: str) -> int:
        source = f"memory:{text}"
        document = Document(
            source=source,
            file=source,
            title="T",
            media_type="text/plain",
            text=text,
            sections=(Section(start=0, end=len(text)),),
        )
        passage = Passage(ordinal=0, start=0, end=len(text), text=text, num_tokens=3)
        with self.database.write() as session:
            document_id = insert_document(
                session,
                self.collection.id,
                document,
                DocumentDetails(file_sha256="", text_sha256=text, pipeline=""),
            )
            replace_passages(session, document_id, self.collection.id, 1, [passage], self.vector(text)[None], MODEL)
        return document_id

    @staticmethod
    def vector(text: str) -> np.ndarray:
        vector = np.random.default_rng(sum(map(ord, text))).normal(size=8)
        return (vector / np.linalg.norm(vector)).astype(np.float16)

    def delete(self, document_id: int) -> None:
        with self.database.write() as session:
            mark_deleted(session, document_id)

    def index(self, vector_index: VectorIndexKind = "auto") -> CollectionIndex:
        return CollectionIndex(
            self.database,
            collection_id=self.collection.id,
            embedding_model=MODEL,
            dimension=8,
            folder=self.folder / "index",
            vector_index=vector_index,
        )

    def found(self, index: CollectionIndex, text: str) -> list[int]:
        index.refresh()
        ranking = index.search(text, self.vector(text), mode="hybrid", candidates=10, keyword_weight=0.5)
        return list(ranking.passage_ids)


@pytest.fixture
def corpus(database: Database, tmp_path: Path) -> Corpus:
    corpus = Corpus(database, tmp_path)
    for text in ("red apple", "green pear", "blue plum"):
        corpus.add(text)
    return corpus


def test_new_index_is_built_from_sql_and_saved(corpus: Corpus) -> None:
    index = corpus.index()
    assert len(index) == 3
    assert corpus.found(index, "green pear")[0] == 2
    assert [path.name for path in (corpus.folder / "index").iterdir()] == [f"{index.change_id:012d}"]


def test_what_another_process_commits_is_found_and_what_it_deletes_is_not(corpus: Corpus) -> None:
    reading = corpus.index()
    document_id = corpus.add("yellow banana")
    assert corpus.found(reading, "yellow banana")[0] == 4
    corpus.delete(document_id)
    assert 4 not in corpus.found(reading, "yellow banana")


def test_snapshot_and_replay_equal_a_fresh_build(corpus: Corpus) -> None:
    first = corpus.index()
    corpus.add("yellow banana")
    corpus.delete(1)
    replayed = corpus.index()
    shutil.rmtree(corpus.folder / "index")
    rebuilt = corpus.index()
    for query in ("red apple", "yellow banana", "blue plum"):
        assert corpus.found(replayed, query) == corpus.found(rebuilt, query) == corpus.found(first, query)
    assert len(replayed) == len(rebuilt) == 3


def _delete(snapshot: Path) -> None:
    (snapshot / "vectors" / "rows.faiss").unlink()


def _truncate(snapshot: Path) -> None:
    path = snapshot / "vectors" / "rows.faiss"
    path.write_bytes(path.read_bytes()[:-10])


def _flip(snapshot: Path) -> None:
    path = max((snapshot / "keyword").iterdir(), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def _lose_manifest(snapshot: Path) -> None:
    (snapshot / "manifest.json").write_text("{}")


def _rename(snapshot: Path) -> None:
    snapshot.rename(snapshot.with_name("000000000001"))


def _from_the_future(snapshot: Path) -> None:
    manifest = snapshot / "manifest.json"
    number = int(snapshot.name)
    manifest.write_text(manifest.read_text().replace(f'"change_id": {number}', '"change_id": 999'))
    snapshot.rename(snapshot.with_name("000000000999"))


def _of_an_older_version(snapshot: Path) -> None:
    manifest = snapshot / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))


@pytest.mark.parametrize(
    "damage", [_delete, _truncate, _flip, _lose_manifest, _rename, _from_the_future, _of_an_older_version]
)
def test_damaged_snapshot_is_refused_reported_and_rebuilt(
    corpus: Corpus, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    corpus.index()
    (snapshot,) = (corpus.folder / "index").iterdir()
    damage(snapshot)
    index = corpus.index()
    assert "rebuilding" in caplog.text
    assert corpus.found(index, "green pear")[0] == 2
    caplog.clear()
    again = corpus.index()
    assert len(again) == 3


def test_older_good_snapshot_serves_when_the_newest_is_damaged(corpus: Corpus) -> None:
    index = corpus.index()
    corpus.add("yellow banana")
    index.refresh()
    assert index.save()
    newest = max((corpus.folder / "index").iterdir())
    _truncate(newest)
    assert corpus.found(corpus.index(), "yellow banana")[0] == 4


def test_only_two_snapshots_are_kept_and_unchanged_ones_not_written_again(corpus: Corpus) -> None:
    index = corpus.index()
    for text in ("one fig", "two figs", "three figs"):
        corpus.add(text)
        index.refresh()
        assert index.save()
    assert not index.save()
    assert len(list((corpus.folder / "index").iterdir())) == 2


def test_graph_is_made_in_slices_by_whoever_adds_and_saved_for_the_others(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_index, "LINK_BATCH", 1)
    writing = corpus.index("hnsw")
    assert (writing.vector_stats.kind, writing.vector_stats.num_unlinked) == ("exact", 3)
    assert not writing.save()
    writing.optimize()
    assert (writing.vector_stats.kind, writing.vector_stats.num_unlinked) == ("hnsw", 0)
    assert writing.save()
    writing.optimize()
    assert not writing.save()
    reading = corpus.index("hnsw")
    assert reading.vector_stats == writing.vector_stats
    assert reading.vector_recall() == 1
    corpus.add("yellow banana")
    assert corpus.found(reading, "yellow banana")[0] == 4
    assert reading.vector_stats.num_unlinked == 1
    assert corpus.index("exact").vector_stats.kind == "exact"


def test_reader_goes_over_to_the_snapshot_of_whoever_linked_what_it_scans(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_index, "ADOPT_FROM", 3)
    reading, writing = corpus.index("hnsw"), corpus.index("hnsw")
    corpus.add("yellow banana")
    assert corpus.found(reading, "yellow banana")[0] == 4
    assert reading.vector_stats.num_unlinked == 4
    writing.refresh()
    writing.optimize()
    assert writing.save()
    corpus.add("orange carrot")
    corpus.delete(1)
    assert corpus.found(reading, "orange carrot")[0] == 5
    assert 1 not in corpus.found(reading, "red apple")
    assert (reading.vector_stats.kind, reading.vector_stats.num_unlinked) == ("hnsw", 1)
    assert len([path for path in reading._working.path.iterdir() if path.is_dir()]) == 1


def test_reader_does_without_a_newer_snapshot_that_is_damaged(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collection_index, "ADOPT_FROM", 1)
    reading, writing = corpus.index("hnsw"), corpus.index("hnsw")
    corpus.add("yellow banana")
    writing.refresh()
    assert writing.save()
    _flip(max((corpus.folder / "index").iterdir()))
    for text in ("orange carrot", "white radish"):
        corpus.add(text)
        assert corpus.found(reading, text)
    assert caplog.text.count("go on without it") == 1
    assert len(reading) == 6


def test_searches_go_on_side_by_side_while_the_index_is_saved_and_changed(corpus: Corpus) -> None:
    index = corpus.index()
    together = threading.Barrier(3)
    searched = index._contents.keyword.search

    def search(*arguments: object, **options: object) -> object:
        together.wait(20)  # broken unless three search at once
        return searched(*arguments, **options)

    index._contents.keyword.search = search  # type: ignore[method-assign]
    with index._updating, ThreadPoolExecutor(3) as pool:  # as whoever saves a snapshot holds it
        calls = [pool.submit(corpus.found, index, "green pear") for _ in range(3)]
        assert [call.result(20)[0] for call in calls] == [2, 2, 2]


def test_searches_while_others_add_delete_and_rebuild_find_what_is_there(corpus: Corpus) -> None:
    index, stop = corpus.index(), threading.Event()

    def keep_searching() -> int:
        num = 0
        while not stop.is_set():
            assert corpus.found(index, "green pear")[0] == 2
            num += 1
        return num

    with ThreadPoolExecutor(4) as pool:
        searching = [pool.submit(keep_searching) for _ in range(3)]
        try:
            for number in range(5):
                added = corpus.add(f"violet number{number}")
                index.refresh()
                index.rebuild()
                corpus.delete(added)
        finally:
            stop.set()
        assert all(call.result(20) for call in searching)


def test_rebuilding_makes_the_graph(corpus: Corpus) -> None:
    index = corpus.index("hnsw")
    index.rebuild()
    assert corpus.index("hnsw").vector_stats.kind == "hnsw"


def test_closing_removes_the_working_copy(corpus: Corpus) -> None:
    index = corpus.index()
    working = index._working.path
    assert working.is_dir()
    index.close()
    assert not working.exists()


def test_collection_whose_model_is_not_here_is_refused(sqlite_database: Database, tmp_path: Path) -> None:
    corpus = Corpus(sqlite_database, tmp_path)
    embedders = Embedders(CARRIED_MODEL, dtype=torch.float32, batch_size=1)
    with pytest.raises(InvalidInput, match="No embedding model 'model'"):
        IndexSet(sqlite_database, embedders, tmp_path).get(corpus.collection)


def test_legs_side_by_side_find_what_one_after_the_other_does(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    index, other = corpus.index(), corpus.vector("blue plum")
    apart = index.search("green pear", other, mode="hybrid", candidates=10, keyword_weight=0.5)
    threads = set[str]()
    keyword_search = KeywordIndex.search

    def noting(self: KeywordIndex, *arguments: Any, **options: Any) -> Any:
        threads.add(threading.current_thread().name)
        return keyword_search(self, *arguments, **options)

    monkeypatch.setattr(KeywordIndex, "search", noting)
    monkeypatch.setattr(collection_index, "APART_FROM", 3)
    beside = index.search("green pear", other, mode="hybrid", candidates=10, keyword_weight=0.5)
    assert list(beside) == list(apart)
    assert [name.rpartition("_")[0] for name in threads] == ["keyword-leg"]


@pytest.mark.parametrize("leg", [KeywordIndex, VectorIndex])
def test_a_leg_that_fails_beside_the_other_is_heard_of(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, leg: type
) -> None:
    index, vector = corpus.index(), corpus.vector("red apple")

    def fail(*_: Any, **__: Any) -> None:
        raise IndexDamaged("gone")

    monkeypatch.setattr(leg, "search", fail)
    monkeypatch.setattr(collection_index, "APART_FROM", 3)
    with pytest.raises(IndexDamaged, match="gone"):
        index.search("red apple", vector, mode="hybrid", candidates=10, keyword_weight=0.5)
