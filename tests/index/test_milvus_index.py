"""Search in Milvus beside the embedded one, against Milvus Lite: the same hits, at once, under every filter."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.errors import Busy, IndexUnavailable
from rag.index.embedders import Embedders
from rag.index.milvus_collection import MARKS, MilvusCollection
from rag.index.milvus_index import MilvusEngine, MilvusIndex
from rag.index.milvus_server import Abilities, MilvusServer
from rag.index.vectors import VectorIndexKind
from rag.records import Caller, SearchMode
from rag.store.database import Database
from rag.store.documents import mark_deleted
from rag.store.filters import Filters
from rag.store.passages import announce_passages_again
from tests.index.corpus import DIMENSION, MODEL, Corpus, search

NOBODY = Caller(access_labels=frozenset())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """One for all tests: each has a database, and so a collection, of its own."""
    server = MilvusServer(str(tmp_path_factory.mktemp("milvus") / "milvus.db"))
    yield server
    server.close()


@pytest.fixture
def corpus(sqlite_database: Database, tmp_path: Path) -> Corpus:
    return Corpus(sqlite_database, tmp_path)


def fill(corpus: Corpus, num_documents: int, **details: Any) -> list[int]:
    """Documents of one passage of random words; returns their ids."""
    with corpus.database.write() as session:
        return [corpus.insert(session, [corpus.text()], **details)[0] for _ in range(num_documents)]


@pytest.mark.parametrize("filters", [{}, {"half": 0}], ids=["all", "filtered"])
def test_hits_and_scores_are_those_of_the_embedded_search(
    corpus: Corpus, server: MilvusServer, filters: Filters
) -> None:
    fill(corpus, 60, metadata={"half": 0})
    fill(corpus, 60, metadata={"half": 1})
    corpus.add(["?!"], title="")  # a passage without words
    milvus, embedded = corpus.milvus(server), corpus.embedded()
    try:
        for number in range(24):
            query, (vector,) = f"who {corpus.text()}?", corpus.vectors(1)
            mode: SearchMode = ("hybrid", "keyword", "vector")[number % 3]
            ours = search(milvus, query, vector, mode=mode, candidates=200, filters=filters)
            theirs = search(embedded, query, vector, mode=mode, candidates=200, filters=filters)
            assert set(ours) == set(theirs)
            for passage_id, scores in theirs.items():
                if scores.keyword is not None:
                    # tantivy keeps the lengths of passages above 40 words roughly; these are shorter.
                    assert ours[passage_id].keyword == pytest.approx(scores.keyword, rel=1e-4)
                assert ours[passage_id].vector == pytest.approx(scores.vector, abs=1e-5)
                assert ours[passage_id].fused == pytest.approx(scores.fused, abs=1e-4)
        assert len(milvus) == 121
        assert search(milvus, "the of a is", corpus.vectors(1)[0], mode="keyword") == {}
    finally:
        embedded.close()


def test_what_is_committed_is_found_and_what_is_deleted_is_not(corpus: Corpus, server: MilvusServer) -> None:
    index, other = corpus.milvus(server), corpus.milvus(server)  # as two processes have them
    (vector,) = corpus.vectors(1)
    assert search(index, "banana", vector) == {}
    document_id = corpus.add(["a yellow banana"], np.array([vector]), title="fruit")
    assert other.changes_behind() == 1
    assert search(other, "banana", vector)[1].keyword_rank == 1
    assert search(index, "banana", vector)[1].vector == pytest.approx(1, abs=1e-3)
    with corpus.database.write() as session:
        announce_passages_again(session, document_id, corpus.collection.id)
    assert len(search(index, "fruit", vector, mode="keyword")) == 1
    with corpus.database.write() as session:
        mark_deleted(session, document_id)
    assert search(other, "banana", vector) == search(index, "banana", vector) == {}
    assert (len(index), index.problem(), index.changes_behind()) == (0, None, 0)


@pytest.fixture(scope="module")
def shares(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Corpus, np.ndarray]]:
    """1,000 documents of five passages, numbered from 0, and the vectors of the passages, by id from 1 on."""
    folder = tmp_path_factory.mktemp("shares")
    (folder / "rag.db").write_bytes(migrated_sqlite_file.read_bytes())
    database = Database(f"sqlite:///{folder / 'rag.db'}")
    corpus = Corpus(database, folder)
    vectors = corpus.vectors(5_000)
    with database.write() as session:
        for number in range(1_000):
            mine = vectors[5 * number : 5 * number + 5]
            corpus.insert(session, ["words"] * 5, mine, metadata={"number": number})
    yield corpus, vectors.astype(np.float32)
    database.dispose()


@pytest.mark.parametrize("listed", [10_000, 100], ids=["listed", "picked"])
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_selective_filter_gets_its_full_top_k(
    shares: tuple[Corpus, np.ndarray],
    server: MilvusServer,
    monkeypatch: pytest.MonkeyPatch,
    kind: VectorIndexKind,
    listed: int,
) -> None:
    corpus, vectors = shares
    monkeypatch.setattr("rag.index.milvus_index.MAX_LISTED", listed)
    monkeypatch.setattr("rag.index.milvus_index.MAX_LIMIT", 400)  # so that picking ends in a long list, too
    index = corpus.milvus(server, kind)
    assert (index.refresh(), index.vector_stats.kind) == (5_000, kind)
    for num_documents in (500, 100, 10, 1):  # 50% to 0.1%
        wanted = vectors[: 5 * num_documents]
        filters: Filters = {"number": {"$lt": num_documents}}
        num_true = num_found = 0
        for query in corpus.vectors(10):
            true = set((np.argsort(-(wanted @ query.astype(np.float32)))[:10] + 1).tolist())
            found = search(index, "words", query, mode="vector", candidates=10, filters=filters)
            assert len(found) == len(true)
            assert max(found) <= len(wanted)
            num_true, num_found = num_true + len(true), num_found + len(true & set(found))
        # Milvus Lite links in several threads, so a graph may miss one more or less.
        assert num_found >= (1.0 if kind == "exact" else 0.95) * num_true
        words = search(index, "words", query, mode="keyword", filters=filters)
        assert len(words) == min(20, len(wanted))


@pytest.mark.parametrize("listed", [10_000, 0], ids=["listed", "picked"])
@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
def test_access_labels_hold_whatever_the_filter_says(
    corpus: Corpus, server: MilvusServer, monkeypatch: pytest.MonkeyPatch, mode: SearchMode, listed: int
) -> None:
    monkeypatch.setattr("rag.index.milvus_index.MAX_LISTED", listed)
    (vector,) = corpus.vectors(1)
    for _ in range(3):
        corpus.add(["the salary of a runner"], np.array([vector]), labels=("hr",), metadata={"kind": "pay"})
    open_id = corpus.add(["a runner"], metadata={"kind": 'x" or passage_id > 0 or "'})
    index = corpus.milvus(server)
    attempts: list[Filters] = [
        {},
        {"kind": 'pay" or passage_id > 0 or "'},
        {"kind": {"$in": ["pay", "] or passage_id > 0 or document_id in [1"]}},
        {"$not": {"kind": "nothing"}},
        {"$or": [{"kind": "pay"}, {"kind": {"$exists": True}}]},
    ]
    for filters in attempts:
        assert set(search(index, "salary runner", vector, mode=mode, filters=filters, caller=NOBODY)) <= {4}
    assert len(search(index, "salary runner", vector, mode=mode, caller=Caller(access_labels=frozenset({"hr"})))) == 4
    quoted: Filters = {"kind": 'x" or passage_id > 0 or "'}
    assert list(search(index, "runner", vector, mode=mode, filters=quoted)) == [open_id] == [4]
    for _ in range(30):  # more that is closed than a first look asks for
        corpus.add(["the salary of a runner"], np.array([vector]), labels=("hr",))
    assert set(search(index, "runner", vector, mode=mode, candidates=1, caller=NOBODY)) == {4}


def test_filter_of_nothing_finds_nothing(corpus: Corpus, server: MilvusServer) -> None:
    fill(corpus, 3)
    assert search(corpus.milvus(server), "runner", corpus.vectors(1)[0], filters={"no": "such"}) == {}


def test_feed_that_is_killed_before_its_mark_is_done_again(
    corpus: Corpus, server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.index.milvus_feed.BATCH", 7)
    index = corpus.milvus(server)
    index.refresh()
    ids = fill(corpus, 30)
    with corpus.database.write() as session:
        mark_deleted(session, ids[3])
    set_mark, marks = MilvusCollection.set_mark, []

    def killed(self: MilvusCollection, *arguments: Any) -> None:
        marks.append(arguments)
        if len(marks) == 3:
            raise KeyboardInterrupt
        set_mark(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCollection, "set_mark", killed)
        with pytest.raises(KeyboardInterrupt):
            index.refresh()
    assert 0 < corpus.milvus(server).change_id < 31
    assert index.refresh() == 31
    assert (len(index), index.problem()) == (29, None)


def test_processes_that_feed_at_once_leave_what_sql_holds(
    database: Database, tmp_path: Path, server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(database, tmp_path)
    monkeypatch.setattr("rag.index.milvus_feed.BATCH", 3)
    indexes = [corpus.milvus(server) for _ in range(4)]
    indexes[0].refresh()
    errors: list[BaseException] = []

    def feed(index: MilvusIndex) -> None:
        try:
            for _ in range(12):
                index.refresh()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=feed, args=(index,)) for index in indexes]
    for thread in threads:
        thread.start()
    for number in range(8):
        ids = fill(corpus, 5)
        with corpus.database.write() as session:
            mark_deleted(session, ids[number % 5])
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({index.refresh() for index in indexes}) == 1
    assert (len(indexes[0]), indexes[0].problem()) == (32, None)


def test_searches_and_changes_go_on_while_a_new_build_is_made(
    corpus: Corpus, server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.index.milvus_feed.BATCH", 10)
    index, other = corpus.milvus(server), corpus.milvus(server)
    ids = fill(corpus, 25)
    (vector,) = corpus.vectors(1)
    index.refresh()
    put, num_found = MilvusCollection.put, []

    def busy(self: MilvusCollection, build: str, batch: Any) -> None:
        put(self, build, batch)
        if build == self.current() or len(num_found) == 3:
            return
        with corpus.database.write() as session:
            mark_deleted(session, ids[len(num_found)])
            corpus.insert(session, ["a new one"])
            corpus.insert(session, ["and another"])
        num_found.append(len(search(other, "runner", vector, mode="vector", candidates=100)))

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCollection, "put", busy)
        index.rebuild()
    assert num_found == [26, 27, 28]
    assert (len(index), index.problem(), index.changes_behind(), other.changes_behind()) == (28, None, 0, 0)
    builds = [name for name in server.run("list_collections") if name.startswith(index._milvus.alias)]
    assert builds == [index._milvus.current()]


def test_build_that_was_broken_off_is_dropped_by_the_next(
    corpus: Corpus, server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = corpus.milvus(server)
    fill(corpus, 5)
    index.refresh()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCollection, "seal", killed)
        with pytest.raises(KeyboardInterrupt):
            index.rebuild()
    assert len(index) == 5
    index.rebuild()
    builds = [name for name in server.run("list_collections") if name.startswith(index._milvus.alias)]
    assert builds == [index._milvus.current()]


def test_difference_between_milvus_and_sql_is_told_and_healed(corpus: Corpus, server: MilvusServer) -> None:
    index = corpus.milvus(server)
    fill(corpus, 30)
    index.refresh()
    assert (index.problem(), index.vector_recall()) == (None, 1.0)
    build = index._milvus.current()
    assert build is not None
    index._milvus.remove(build, [3])
    row = {"passage_id": 1_000, "document_id": 1, "vector": np.zeros(DIMENSION, np.float32), "words": "stray"}
    server.run("upsert", build, [row])
    assert index.problem() == ("Milvus lacks 1 passages of SQL and holds 1 that SQL does not; run `rag index build`.")
    rows = [{**row, "passage_id": number, "vector": corpus.vectors(1)[0].astype(np.float32)} for number in range(4, 28)]
    server.run("upsert", build, rows)
    assert index.vector_recall() < 0.9  # of other vectors than SQL has
    index.rebuild()
    assert (len(index), index.problem(), index.vector_recall()) == (30, None, 1.0)


def test_what_another_database_has_put_there_is_refused_until_it_is_built_anew(
    corpus: Corpus, server: MilvusServer
) -> None:
    fill(corpus, 3)
    corpus.milvus(server).refresh()
    with corpus.database.write() as session:  # as in a copy that has gone its own way
        session.connection().exec_driver_sql("UPDATE index_changes SET created_at = '2001-01-01 00:00:00.000000'")
    index = corpus.milvus(server)
    with pytest.raises(IndexUnavailable, match="of another database.*rag index build"):
        index.refresh()
    index.rebuild()
    assert search(index, "runner", corpus.vectors(1)[0], mode="vector") != {}


def test_index_that_milvus_has_lost_is_built_anew(corpus: Corpus, server: MilvusServer) -> None:
    fill(corpus, 3)
    index = corpus.milvus(server)
    (vector,) = corpus.vectors(1)
    assert len(search(index, "runner", vector, mode="vector")) == 3
    corpus.milvus(server).forget()
    assert len(search(index, "runner", vector, mode="vector")) == 3


def test_what_milvus_has_no_longer_loaded_is_loaded_again(corpus: Corpus, server: MilvusServer) -> None:
    index = corpus.milvus(server)
    index.refresh()
    fill(corpus, 3)
    server.run("release_collection", MARKS)
    assert len(search(index, "runner", corpus.vectors(1)[0], mode="vector")) == 3
    build = index._milvus.current()
    assert build is not None
    server.run("release_collection", build)
    assert len(search(index, "runner", corpus.vectors(1)[0], mode="vector")) == 3


def test_search_does_not_wait_for_ever_for_a_process_that_feeds(corpus: Corpus, server: MilvusServer) -> None:
    index = corpus.milvus(server)
    index._feed._wait_s = 0.3
    with corpus.database.exclusive(f"milvus-feed-{corpus.collection.id}"), pytest.raises(Busy, match="try again"):
        index.refresh()


def test_words_are_searched_in_postgresql_where_milvus_cannot(
    postgres_search_database: Database, tmp_path: Path, server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "abilities", Abilities(**{**_ABLE, "has_full_text": False}))
    corpus = Corpus(postgres_search_database, tmp_path)
    vectors = corpus.vectors(2)
    corpus.add(["a yellow banana"], vectors[:1], labels=("hr",))
    corpus.add(["a banana tree"], vectors[1:])
    index = corpus.milvus(server)
    found = search(index, "banana", vectors[0])
    assert {one: (scores.keyword_rank, scores.vector_rank) for one, scores in found.items()} == {1: (1, 1), 2: (2, 2)}
    assert list(search(index, "banana", vectors[0], caller=NOBODY)) == [2]


def test_server_without_full_text_needs_postgresql(
    corpus: Corpus, server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "abilities", Abilities(**{**_ABLE, "has_full_text": False}))
    with pytest.raises(IndexUnavailable, match="cannot search words; use 2.5 or later"):
        search(corpus.milvus(server), "banana", corpus.vectors(1)[0])


_ABLE = {"version": "v2.3.5", "is_lite": True, "has_half_precision": False, "has_full_text": True}


@pytest.mark.parametrize(
    ("version", "is_lite", "has_half_precision", "has_full_text"),
    [
        ("milvus_lite-3.2.2", True, False, True),
        ("v2.3.5", False, False, False),
        ("v2.4.10", False, True, False),
        ("2.5.4-dev", False, True, True),
        ("v3.0.0", False, True, True),
    ],
)
def test_abilities_go_by_the_version(
    version: str, is_lite: bool, has_half_precision: bool, has_full_text: bool
) -> None:
    assert Abilities.of_version(version) == Abilities(
        version=version, is_lite=is_lite, has_half_precision=has_half_precision, has_full_text=has_full_text
    )


def test_engine_forgets_a_model_and_tells_of_a_server_that_is_not_there(
    corpus: Corpus, server: MilvusServer, sqlite_database: Database
) -> None:
    engine = MilvusEngine(sqlite_database, Embedders.__new__(Embedders), server)
    engine.check()
    engine.forget(corpus.collection, embedding_model=MODEL)
    gone = MilvusEngine(sqlite_database, Embedders.__new__(Embedders), MilvusServer("http://127.0.0.1:9", timeout_s=1))
    with pytest.raises(IndexUnavailable, match="127.0.0.1:9 does not do what it is asked"):
        gone.check()
    gone.close()


def test_file_that_another_process_has_is_refused_in_words(tmp_path: Path) -> None:
    server = MilvusServer(str(tmp_path / "new" / "milvus.db"))
    server.check()
    code = (
        "from rag.index.milvus_server import MilvusServer\n"
        f"try:\n    MilvusServer({server.uri!r}).check()\nexcept Exception as error:\n    print(repr(error))"
    )
    told = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "Traceback" not in done.stdout + done.stderr
        told.append(done.stdout)
        server.close()
    assert "one process at a time can have it" in told[0]
    assert told[1] == ""


def test_more_replicas_than_there_are_query_nodes_are_refused(corpus: Corpus, server: MilvusServer) -> None:
    corpus.milvus(server).refresh()
    with pytest.raises(IndexUnavailable, match="too few query nodes for milvus_replicas = 2; start more"):
        MilvusCollection(server, "rag_twice", num_replicas=2).begin(DIMENSION)
    assert len(corpus.milvus(server)) == 0  # what was there goes on
