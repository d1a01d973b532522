"""Folders in BEIR's layout: read, judged, and refused where they are not one."""

import json
import math
from pathlib import Path

import pytest

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput
from rag.evaluate.beir import load_beir
from rag.evaluate.corpus import build_beir_corpus
from rag.evaluate.metrics import ndcg, recall
from rag.evaluate.retrieval import evaluate_retrieval

DOCUMENTS = [
    {"_id": "rota", "title": "Support", "text": "The support rota is kept by Amara Diallo."},
    {"_id": "town", "title": "", "text": "The company was founded in Lisbon."},
    {"_id": "heron", "title": "Machines", "text": "The largest machine is called heron."},
    {"_id": "none", "title": "Blank", "text": " "},
]
QUERIES = [{"_id": 1, "text": "Who keeps the rota?"}, {"_id": 2, "text": "Where was the company founded?"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in DOCUMENTS))
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in QUERIES))
    _judge(folder, "query-id\tcorpus-id\tscore\n1\trota\t2\n1\theron\t0\n2\ttown\t1\n2\tnone\t1\n")
    return folder


def _judge(folder: Path, lines: str) -> None:
    (folder / "qrels" / "test.tsv").write_text(lines)


def test_documents_queries_and_grades_are_read(folder: Path) -> None:
    loaded = load_beir(folder)
    assert [document.id for document in loaded.documents] == ["rota", "town", "heron", "none"]
    assert [(query.id, dict(query.grades)) for query in loaded.queries] == [
        ("1", {"rota": 2}),
        ("2", {"town": 1, "none": 1}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", "{", "line 1 is not JSON"),
        ("corpus.jsonl", '{"_id": "a"}', "line 1: an object with _id and text is needed"),
        ("queries.jsonl", "[]", "line 1: an object with _id and text is needed"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\trota\tgood\n", "line 2: a query's id"),
        ("qrels/test.tsv", "1 rota 2\n", "line 1: a query's id"),
        ("qrels/test.tsv", "1\tnowhere\t2\n", "line 1: there is no document nowhere"),
        ("qrels/test.tsv", "9\trota\t2\n", "line 1: there is no query 9"),
        ("qrels/test.tsv", "1\trota\t0\n", "no query with a relevant document"),
        ("corpus.jsonl", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_malformed_folder_is_refused_with_the_place(
    folder: Path, name: str, content: str | bytes, message: str
) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidInput, match=message):
        load_beir(folder)


def test_missing_split_is_named(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"Cannot read .*dev\.tsv"):
        load_beir(folder, split="dev")


def test_a_folder_is_searched_in_every_way(folder: Path, sqlite_url: str, tmp_path: Path) -> None:
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as service:
        collection, queries = build_beir_corpus(
            folder, split="test", ingester=service.ingester, database=service.database, on_progress=lambda _: None
        )
        metrics = evaluate_retrieval(service.retriever, collection.name, queries, on_query=lambda _: None)
        again, _ = build_beir_corpus(
            folder, split="test", ingester=service.ingester, database=service.database, on_progress=lambda _: None
        )
    assert again.id == collection.id
    # The blank document is not stored, so that it is not missed either.
    assert [len(query.grades) for query in queries] == [1, 1]
    for arm in ("keyword", "vector", "hybrid", "reranked"):
        assert metrics[arm]["ndcg_at_10"] == metrics[arm]["recall_at_10"] == metrics[arm]["hit_at_1"] == 1.0


def test_ndcg_is_the_gain_by_place_over_the_best_that_could_be() -> None:
    grades = {1: 3, 2: 1}
    assert ndcg([1, 2, 9], grades, k=10) == 1.0
    best = 3 + 1 / math.log2(3)
    assert ndcg([2, 1], grades, k=10) == pytest.approx((1 + 3 / math.log2(3)) / best)
    assert ndcg([9, 8, 1], grades, k=2) == 0.0
    assert ndcg([1], {}, k=10) == 0.0
    assert (recall([1, 9], grades, k=10), recall([9, 1], grades, k=1), recall([1], {}, k=1)) == (0.5, 0.0, 0.0)
