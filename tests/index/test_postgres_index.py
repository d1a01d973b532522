"""The search inside PostgreSQL beside the embedded one: the same hits and scores, at once, under every filter."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.index.collection_index import CollectionIndex
from rag.index.postgres_index import PostgresIndex
from rag.index.vectors import VectorIndexKind
from rag.records import OWNER, Caller, Document, Metadata, Passage, SearchMode, Section
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.documents import DocumentDetails, insert_document, mark_deleted, update_metadata
from rag.store.embedding_generations import activate_generation, begin_generation, drop_generation, put_embeddings
from rag.store.filters import Filters
from rag.store.passages import replace_passages

MODEL, DIMENSION = "model", 16
WORDS = [
    *("apples", "pear", "plums", "the", "a", "running", "runner", "quickly", "Größe", "café", "naïve", "e-mail"),
    *("don’t", "2024", "v2.5", "house", "houses", "owner", "it", "is", "tree", "water", "glass", "board", "paper"),
]


class Corpus:
    """Documents with passages of chosen words, and with vectors that need no model."""

    def __init__(self, database: Database, folder: Path, *, seed: int = 0) -> None:
        self.database, self.folder = database, folder
        self.rng = np.random.default_rng(seed)
        with database.write() as session:
            self.collection = get_or_create_collection(session, "c", embedding_model=MODEL)

    def add(
        self,
        texts: Sequence[str],
        vectors: np.ndarray | None = None,
        *,
        title: str = "T",
        metadata: Metadata | None = None,
        labels: tuple[str, ...] = (),
    ) -> int:
        """A document of these passages; returns its id."""
        source = f"memory:{self.rng.integers(1 << 60)}"
        whole = "".join(texts)
        document = Document(
            source=source,
            file=source,
            title=title,
            media_type="text/plain",
            text=whole,
            sections=(Section(start=0, end=len(whole)),),
            metadata=metadata or {},
        )
        starts = [sum(map(len, texts[:n])) for n in range(len(texts))]
        passages = [
            Passage(ordinal=n, start=start, end=start + len(one), text=one, num_tokens=3, headings=("Part of it",))
            for n, (start, one) in enumerate(zip(starts, texts, strict=True))
        ]
        details = DocumentDetails(file_sha256="", text_sha256=source, pipeline="", access_labels=labels)
        if vectors is None:
            vectors = self.vectors(len(texts))
        with self.database.write() as session:
            document_id = insert_document(session, self.collection.id, document, details)
            replace_passages(session, document_id, self.collection.id, 1, passages, vectors, MODEL)
        return document_id

    def vectors(self, number: int) -> np.ndarray:
        """Unit vectors (number, dimension)."""
        found = self.rng.normal(size=(number, DIMENSION))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)

    def text(self) -> str:
        return " ".join(self.rng.choice(WORDS, size=int(self.rng.integers(3, 30))))

    def postgres(self, vector_index: VectorIndexKind = "auto") -> PostgresIndex:
        return PostgresIndex(
            self.database, collection_id=self.collection.id, embedding_model=MODEL, vector_index=vector_index
        )

    def embedded(self) -> CollectionIndex:
        return CollectionIndex(
            self.database,
            collection_id=self.collection.id,
            embedding_model=MODEL,
            dimension=DIMENSION,
            folder=self.folder / "index",
        )


@pytest.fixture
def corpus(postgres_search_database: Database, tmp_path: Path) -> Corpus:
    return Corpus(postgres_search_database, tmp_path)


def _search(
    index: PostgresIndex | CollectionIndex,
    query: str,
    vector: np.ndarray,
    *,
    mode: SearchMode = "hybrid",
    candidates: int = 20,
    filters: Filters | None = None,
    caller: Caller = OWNER,
) -> dict[int, Any]:
    index.refresh()
    search = index.searcher(filters or {}, caller)
    ranking = search(query, vector, mode=mode, candidates=candidates, keyword_weight=0.4, fusion="convex")
    return dict(ranking)


@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
@pytest.mark.parametrize("filters", [{}, {"half": 0}], ids=["all", "filtered"])
def test_hits_and_scores_are_those_of_the_embedded_search(corpus: Corpus, mode: SearchMode, filters: Filters) -> None:
    for number in range(60):
        corpus.add([corpus.text(), corpus.text()], title=corpus.text()[:20], metadata={"half": number % 2})
    postgres, embedded = corpus.postgres(), corpus.embedded()
    try:
        assert len(postgres) == len(embedded) == 120
        for _ in range(20):
            query, (vector,) = f"who {corpus.text()}?", corpus.vectors(1)
            ours = _search(postgres, query, vector, mode=mode, candidates=200, filters=filters)
            theirs = _search(embedded, query, vector, mode=mode, candidates=200, filters=filters)
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
def test_words_are_found_whatever_their_accents_and_marks(corpus: Corpus, query: str, words: set[str]) -> None:
    texts = ["Café, naïve", "Die Größe", "it is quoted", "he isn't", "1 or more", "she runs", "東京 tower"]
    ids = dict(zip(range(1, 8), texts, strict=True))
    for text in texts:
        corpus.add([text], title="")
    found = _search(corpus.postgres(), query, corpus.vectors(1)[0], mode="keyword")
    assert {ids[passage_id] for passage_id in found} == words


def test_what_is_committed_is_found_at_once_and_what_is_deleted_is_not(corpus: Corpus) -> None:
    index = corpus.postgres()
    vector = corpus.vectors(1)
    assert _search(index, "banana", vector[0]) == {}
    document_id = corpus.add(["a yellow banana"], vector)
    assert _search(index, "banana", vector[0])[1].keyword_rank == 1
    with corpus.database.write() as session:
        mark_deleted(session, document_id)
    assert _search(index, "banana", vector[0]) == {}
    assert (len(index), index.problem()) == (0, None)


def test_what_is_rolled_back_was_never_there(corpus: Corpus) -> None:
    corpus.add(["a red apple"])
    index = corpus.postgres()
    with suppress(RuntimeError), corpus.database.write() as session:
        mark_deleted(session, 1)
        raise RuntimeError
    assert set(_search(index, "apple", corpus.vectors(1)[0])) == {1}
    assert index.problem() is None


def test_new_title_is_found_and_the_old_one_is_not(corpus: Corpus) -> None:
    document_id = corpus.add(["some words", "more words"], title="Apples")
    corpus.add(["other words"], title="Cherries")
    with corpus.database.write() as session:
        update_metadata(session, document_id, title="Bananas")
    index, vector = corpus.postgres(), corpus.vectors(1)[0]
    assert set(_search(index, "banana", vector, mode="keyword")) == {1, 2}
    assert _search(index, "apple", vector, mode="keyword") == {}
    assert index.problem() is None


def test_labels_and_collections_of_a_caller_bound_both_legs(corpus: Corpus) -> None:
    corpus.add(["open apple"])
    corpus.add(["closed apple"], labels=("hr",))
    index, vector = corpus.postgres(), corpus.vectors(1)[0]
    nobody, somebody = Caller(access_labels=frozenset()), Caller(access_labels=frozenset({"hr"}))
    for mode in ("hybrid", "keyword", "vector"):
        assert set(_search(index, "apple", vector, mode=mode, caller=nobody)) == {1}  # type: ignore[arg-type]
        assert set(_search(index, "apple", vector, mode=mode, caller=somebody)) == {1, 2}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_filters_that_leave_a_half_a_tenth_or_a_hundredth_find_all_that_is_near(
    corpus: Corpus, kind: VectorIndexKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = corpus.vectors(3_000)
    for start in range(0, 3_000, 50):
        corpus.add(["words"] * 25, vectors[start : start + 25], metadata={"share": (start // 50) % 2})
        share = 100 if start == 0 else 10 if start % 500 == 0 else 1
        corpus.add(["words"] * 25, vectors[start + 25 : start + 50], metadata={"share": share})
    index = corpus.postgres(kind)
    index.optimize()
    assert index.vector_stats.kind == kind
    # Few are scanned, many walked: with this limit a half and a tenth are walked.
    monkeypatch.setattr("rag.store.postgres_search.MAX_SCANNED", 100)
    shares = np.repeat([_share(start) for start in range(0, 3_000, 25)], 25)
    for wanted in ({0}, {10}, {100}):
        allowed = np.flatnonzero(np.isin(shares, list(wanted)))
        hit = 0
        for query in corpus.vectors(20):
            true = allowed[np.argsort(-(vectors[allowed].astype(np.float32) @ query.astype(np.float32)))[:10]] + 1
            found = _search(index, "", query, mode="vector", candidates=10, filters={"share": {"$in": sorted(wanted)}})
            assert len(found) == 10
            hit += len(set(true.tolist()) & set(found))
        assert hit >= (200 if kind == "exact" or len(allowed) <= 100 else 198), wanted


def _share(start: int) -> int:
    if start % 50 == 0:
        return (start // 50) % 2
    start -= 25
    return 100 if start == 0 else 10 if start % 500 == 0 else 1


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
    assert len(_search(index, "", corpus.vectors(1)[0], mode="vector", candidates=50)) == 20


def test_rebuilt_index_finds_the_same_and_its_graph_is_made_anew(corpus: Corpus) -> None:
    for _ in range(10):
        corpus.add([corpus.text(), corpus.text()])
    index, vector = corpus.postgres("hnsw"), corpus.vectors(1)[0]
    index.optimize()
    before = _search(index, "house water", vector)
    with corpus.database.migrate() as connection:
        connection.exec_driver_sql("DELETE FROM rag_search.postings WHERE passage_id = 3")
        connection.exec_driver_sql("DELETE FROM rag_search.vectors WHERE passage_id = 4")
    assert "rag index build" in str(index.problem())
    assert len(index) == 19
    index.rebuild()
    assert (index.problem(), len(index), index.vector_stats.kind) == (None, 20, "hnsw")
    assert _search(index, "house water", vector) == before


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
    assert _search(index, "apple", longer[0])[1].vector == pytest.approx(1, abs=1e-2)
    assert _search(former, "apple", vector)[1].vector != pytest.approx(1, abs=1e-2)
    with corpus.database.write() as session:
        drop_generation(session, corpus.collection.id, MODEL)
    assert (len(former), len(index)) == (0, 1)
