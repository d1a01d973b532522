"""The search inside PostgreSQL beside the embedded one: the same hits and scores, at once, under every filter."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from rag.index.postgres_index import PostgresIndex
from rag.index.vectors import VectorIndexKind
from rag.records import OWNER, Caller, SearchMode
from rag.store.database import Database, Session
from rag.store.documents import mark_deleted, update_metadata
from rag.store.embedding_generations import activate_generation, begin_generation, drop_generation, put_embeddings
from rag.store.filters import Filters
from rag.store.found_passages import documents_matching, load_hits
from rag.store.postgres_search import ITERATIVE_SCAN, find_generation, walk_vectors
from tests.index.corpus import MODEL, Corpus, Shares, search


@pytest.fixture
def corpus(postgres_search_database: Database, tmp_path: Path) -> Corpus:
    """An empty one in a database of its own, so that ids begin at 1."""
    return Corpus(postgres_search_database, tmp_path)


@pytest.fixture(scope="module")
def many_words(shared_search_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """120 passages of random words, for tests that only search."""
    corpus = Corpus(shared_search_database, tmp_path_factory.mktemp("words"), name="words")
    with corpus.database.write() as session:
        for number in range(60):
            metadata = {"half": number % 2}
            corpus.insert(session, [corpus.text(), corpus.text()], title=corpus.text()[:20], metadata=metadata)
    return corpus


@pytest.fixture(scope="module")
def few_words(shared_search_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Passages with accents and marks, for tests that only search."""
    corpus = Corpus(shared_search_database, tmp_path_factory.mktemp("marks"), name="marks")
    with corpus.database.write() as session:
        for words in MARKED:
            corpus.insert(session, [words], title="")
    return corpus


@pytest.fixture(scope="module")
def shares(shared_search_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Shares:
    """2,000 passages, 20 in a document: of ten documents five are of the half and one of the tenth."""
    corpus = Corpus(shared_search_database, tmp_path_factory.mktemp("shares"), name="shares")
    vectors, found = corpus.vectors(2_000), Shares(corpus=corpus)
    with corpus.database.write() as session:
        for number in range(100):
            share = (
                "hundredth" if number == 0 else "tenth" if number % 10 == 1 else "half" if number % 2 == 0 else "rest"
            )
            mine = vectors[20 * number : 20 * number + 20]
            _, ids = corpus.insert(session, ["words"] * 20, mine, metadata={"share": share})
            found.vectors[share].update(zip(ids, mine.astype(np.float32), strict=True))
    with corpus.database.autocommit() as connection:
        connection.exec_driver_sql("ANALYZE")  # as PostgreSQL does by itself after a while
    return found


@pytest.mark.parametrize("filters", [{}, {"half": 0}], ids=["all", "filtered"])
def test_hits_and_scores_are_those_of_the_embeddedsearch(many_words: Corpus, filters: Filters) -> None:
    corpus = many_words
    postgres, embedded = corpus.postgres(), corpus.embedded()
    try:
        assert len(postgres) == len(embedded) == 120
        for number in range(24):
            query, (vector,) = f"who {corpus.text()}?", corpus.vectors(1)
            mode: SearchMode = ("hybrid", "keyword", "vector")[number % 3]
            ours = search(postgres, query, vector, mode=mode, candidates=200, filters=filters)
            theirs = search(embedded, query, vector, mode=mode, candidates=200, filters=filters)
            assert set(ours) == set(theirs)
            for passage_id, scores in theirs.items():
                if scores.keyword is not None:
                    # tantivy keeps the lengths of passages above 40 words roughly; these are shorter.
                    assert ours[passage_id].keyword == pytest.approx(scores.keyword, rel=1e-4)
                if scores.vector is not None:
                    assert ours[passage_id].vector == pytest.approx(scores.vector, abs=2e-3)
                assert ours[passage_id].fused == pytest.approx(scores.fused, abs=5e-3)
    finally:
        embedded.close()


MARKED = ("Café, naïve", "Die Größe", "it is quoted", "he isn't", "1 or more", "she runs", "東京 tower")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("cafe NAIVE", {"Café, naïve"}),
        ("grösse GROESSE", {"Die Größe"}),
        ("“quoted” isn’t", {"it is quoted", "he isn't"}),
        ("the of a is", set()),
        ("' OR 1=1; --", {"1 or more"}),
        ("running", {"she runs"}),
        ("東京", {"東京 tower"}),
    ],
)
def test_words_are_found_whatever_their_accents_and_marks(few_words: Corpus, query: str, words: set[str]) -> None:
    found = search(few_words.postgres(), query, few_words.vectors(1)[0], mode="keyword")
    with few_words.database.read() as session:
        assert {hit.text for hit in load_hits(session, list(found)).values()} == words


def test_what_is_committed_is_found_at_once_and_what_is_deleted_is_not(corpus: Corpus) -> None:
    index = corpus.postgres()
    vector = corpus.vectors(1)
    assert search(index, "banana", vector[0]) == {}
    document_id = corpus.add(["a yellow banana"], vector)
    assert search(index, "banana", vector[0])[1].keyword_rank == 1
    with corpus.database.write() as session:
        mark_deleted(session, document_id)
    assert search(index, "banana", vector[0]) == {}
    assert (len(index), index.problem()) == (0, None)


def test_what_is_rolled_back_was_never_there(corpus: Corpus) -> None:
    corpus.add(["a red apple"])
    index = corpus.postgres()
    with suppress(RuntimeError), corpus.database.write() as session:
        mark_deleted(session, 1)
        raise RuntimeError
    assert set(search(index, "apple", corpus.vectors(1)[0])) == {1}
    assert index.problem() is None


def test_new_title_is_found_and_the_old_one_is_not(corpus: Corpus) -> None:
    document_id = corpus.add(["some words", "more words"], title="Apples")
    corpus.add(["other words"], title="Cherries")
    with corpus.database.write() as session:
        update_metadata(session, document_id, title="Bananas")
    index, vector = corpus.postgres(), corpus.vectors(1)[0]
    assert set(search(index, "banana", vector, mode="keyword")) == {1, 2}
    assert search(index, "apple", vector, mode="keyword") == {}
    assert index.problem() is None


def test_labels_and_collections_of_a_caller_bound_both_legs(corpus: Corpus) -> None:
    corpus.add(["open apple"])
    corpus.add(["closed apple"], labels=("hr",))
    index, vector = corpus.postgres(), corpus.vectors(1)[0]
    nobody, somebody = Caller(access_labels=frozenset()), Caller(access_labels=frozenset({"hr"}))
    for mode in ("hybrid", "keyword", "vector"):
        assert set(search(index, "apple", vector, mode=mode, caller=nobody)) == {1}  # type: ignore[arg-type]
        assert set(search(index, "apple", vector, mode=mode, caller=somebody)) == {1, 2}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_filters_that_leave_a_half_a_tenth_or_a_hundredth_find_all_that_is_near(
    shares: Shares, kind: VectorIndexKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = shares.corpus.postgres(kind)
    index.optimize()
    assert index.vector_stats.kind == kind
    # Few are scanned, many walked: with this limit a half and a tenth are walked.
    monkeypatch.setattr("rag.store.postgres_search.MAX_SCANNED", 50)

    def found(query: np.ndarray, filters: Filters) -> Sequence[int]:
        return list(search(index, "", query, mode="vector", candidates=10, filters=filters))

    assert shares.recall("hundredth", found) == 1
    for share in ("half", "tenth"):
        assert shares.recall(share, found) >= (1 if kind == "exact" else 0.99)


def test_walk_under_a_filter_is_by_the_hnsw_index_and_goes_on_until_it_has_enough(shares: Shares) -> None:
    corpus, plans = shares.corpus, list[str]()
    corpus.postgres("hnsw").optimize()

    def walk(query: np.ndarray, filters: Filters, order: str = ITERATIVE_SCAN) -> Sequence[int]:
        documents = documents_matching(corpus.collection.id, filters, caller=OWNER)
        with corpus.database.read() as session:
            generation = find_generation(session, corpus.collection.id, MODEL)
            assert generation is not None
            with _explained(session, plans):
                found = walk_vectors(session, generation, query, limit=10, documents=documents, order=order)
        return [one for one, _ in found]

    for share in ("half", "tenth", "hundredth"):
        assert shares.recall(share, walk) >= 0.99
    assert all("Index Scan using hnsw_" in plan and "hashed SubPlan" in plan for plan in plans)
    # Without going on, there are the few of the share that stand among the nearest.
    assert len(walk(corpus.vectors(1)[0], {"share": "hundredth"}, "off")) < 10


@contextmanager
def _explained(session: Session, plans: list[str]) -> Iterator[None]:
    """Put the plans of the searches among vectors in the block into ``plans``."""
    connection = session.connection()

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if "<#>" in statement:
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(connection, "before_cursor_execute", explain)
    yield
    event.remove(connection, "before_cursor_execute", explain)


def test_graph_is_made_and_given_up_as_its_size_calls_for(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        corpus.add(["words"] * 4)
    monkeypatch.setattr("rag.index.postgres_index.GRAPH_FROM", 20)
    monkeypatch.setattr("rag.index.postgres_index.GRAPH_UNTIL", 10)
    index = corpus.postgres()
    assert index.vector_stats.kind == "exact"
    index.optimize()
    assert (index.vector_stats.kind, index.vector_stats.num_unlinked, index.vector_recall()) == ("hnsw", 0, 1.0)
    for document_id in (1, 2, 3):
        with corpus.database.write() as session:
            mark_deleted(session, document_id)
    index.optimize()
    assert (index.vector_stats.kind, len(index)) == ("exact", 8)


def test_walk_that_ends_early_is_followed_by_a_scan(corpus: Corpus) -> None:
    for _ in range(4):
        corpus.add(["words"] * 5)
    index = corpus.postgres("hnsw")
    index.optimize()
    assert len(search(index, "", corpus.vectors(1)[0], mode="vector", candidates=50)) == 20


def test_rebuilt_index_finds_the_same_and_its_graph_is_made_anew(corpus: Corpus) -> None:
    for _ in range(10):
        corpus.add([corpus.text(), corpus.text()])
    index, vector = corpus.postgres("hnsw"), corpus.vectors(1)[0]
    index.optimize()
    before = search(index, "house water", vector)
    with corpus.database.migrate() as connection:
        connection.exec_driver_sql("DELETE FROM rag_search.postings WHERE passage_id = 3")
        connection.exec_driver_sql("DELETE FROM rag_search.vectors WHERE passage_id = 4")
    assert "rag index build" in str(index.problem())
    assert len(index) == 19
    index.rebuild()
    assert (index.problem(), len(index), index.vector_stats.kind) == (None, 20, "hnsw")
    assert search(index, "house water", vector) == before


def test_vectors_of_another_model_stand_beside_until_they_are_searched(corpus: Corpus) -> None:
    corpus.add(["red apple"])
    (vector,) = corpus.vectors(1)
    longer = np.append(vector, np.zeros(4, dtype=np.float16))[None]
    with corpus.database.write() as session:
        begin_generation(session, corpus.collection.id, "longer")
        put_embeddings(session, corpus.collection.id, "longer", [1], longer, ["hash"])
        activate_generation(session, corpus.collection.id, "longer")
    former = corpus.postgres()
    index = PostgresIndex(corpus.database, collection_id=corpus.collection.id, embedding_model="longer")
    assert search(index, "apple", longer[0])[1].vector == pytest.approx(1, abs=1e-2)
    assert search(former, "apple", vector)[1].vector != pytest.approx(1, abs=1e-2)
    with corpus.database.write() as session:
        drop_generation(session, corpus.collection.id, MODEL)
    assert (len(former), len(index)) == (0, 1)
