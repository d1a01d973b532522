"""The service over search inside PostgreSQL: nothing but the database is shared, and it is enough."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.store.database import Database
from rag.store.postgres_search_setup import set_up_search

QUESTION = "Who keeps the support rota?"


@pytest.fixture
def settings(postgres_search_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=postgres_search_url, data_dir=tmp_path / "data", search="postgres")


def test_answers_and_searches_need_no_index_files(
    filled: TestClient, settings: Settings, check_problem: Callable[..., str]
) -> None:
    assert set(filled.get("/readyz").json().values()) == {"ready"}
    answer = filled.post("/v1/answers", json={"question": QUESTION}).json()
    assert answer["answer"] == "Amara Diallo"
    for mode in ("hybrid", "keyword", "vector"):
        hits = filled.post("/v1/search", json={"query": "founded in Lisbon", "mode": mode}).json()["hits"]
        assert hits[0]["title"] == "history"
        assert hits[0]["scores"]["fused"] == pytest.approx(1, abs=1e-6)
    by_filter = filled.post("/v1/search", json={"query": "support", "filters": {"year": {"$gt": 1986}}}).json()["hits"]
    assert [hit["title"] for hit in by_filter] == ["history"]
    check_problem(filled.post("/v1/search", json={"query": "a", "filters": {"": 1}}), 422, "invalid-input")
    metrics = filled.get("/metrics").text
    assert "rag_index_passages 2.0" in metrics
    assert "rag_index_changes_behind 0.0" in metrics
    replayed = filled.post(f"/v1/answers/{answer['id']}/replay").json()
    assert (replayed["same"], replayed["same_passages"]) == (True, True)
    assert not settings.index_dir.exists()


@pytest.fixture
def other(settings: Settings, tmp_path: Path) -> Iterator[TestClient]:
    """Another server over the same database, with a folder of its own."""
    with TestClient(create_app(settings.model_copy(update={"data_dir": tmp_path / "other"}))) as client:
        yield client


def test_server_finds_at_once_what_another_takes_in_and_not_what_it_deletes(
    filled: TestClient, other: TestClient
) -> None:
    for number in range(3):
        words = f"The spare key number {number} hangs behind the kitchen door."
        created = filled.post("/v1/documents", files={"file": (f"key{number}.txt", words.encode())}).json()
        query = {"query": f"spare key number {number}", "mode": "keyword"}
        (hit, *_) = other.post("/v1/search", json=query).json()["hits"]
        assert hit["text"] == words
        document_id = created["documents"][0]["id"]
        assert other.delete(f"/v1/documents/{document_id}").status_code in (200, 204)
        assert document_id not in [hit["document_id"] for hit in filled.post("/v1/search", json=query).json()["hits"]]


def test_service_of_another_search_keeps_this_one_level(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "rota.txt").write_text("The support rota is kept by Amara Diallo.")
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere", "search": "embedded"})
    with Rag(settings) as service:
        with Rag(elsewhere) as other:
            other.ingest(tmp_path / "rota.txt")
        assert [hit.title for hit in service.search("support rota")] == ["rota"]


def test_server_whose_database_is_not_set_up_says_so_until_it_is(
    postgres_copy: str, tmp_path: Path, check_problem: Callable[..., str]
) -> None:
    settings = Settings(database_url=postgres_copy, data_dir=tmp_path / "data", search="postgres")
    with TestClient(create_app(settings)) as server:
        ready = server.get("/readyz")
        assert (ready.status_code, "rag db upgrade" in ready.json()["database"]) == (503, True)
        check_problem(server.post("/v1/search", json={"query": "words"}), 503, "unavailable")
        database = Database(postgres_copy)
        set_up_search(database)
        database.dispose()
        assert server.get("/readyz").status_code == 200
