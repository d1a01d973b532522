"""The service over search in Milvus: two servers share it, and while it is away that is told and nothing is lost."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.config import Settings
from rag.index.milvus_server import MilvusServer
from tests.api.running_server import wait_until
from tests.milvus_server import LiteServer, running_lite

QUESTION = "Who keeps the support rota?"


@pytest.fixture
def milvus(tmp_path: Path) -> Iterator[LiteServer]:
    with running_lite(tmp_path / "milvus") as server:
        yield server


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path, milvus: LiteServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("rag.assemble.MilvusServer", partial(MilvusServer, timeout_s=2))
    return Settings(
        database_url=sqlite_url,
        data_dir=tmp_path / "data",
        search="milvus",
        milvus_uri=milvus.url,
        store_timeout_s=5,
    )


@pytest.fixture
def other(settings: Settings, tmp_path: Path) -> Iterator[TestClient]:
    """Another server over the same database and the same Milvus, with a folder of its own."""
    with TestClient(create_app(settings.model_copy(update={"data_dir": tmp_path / "other"}))) as client:
        yield client


def titles(server: TestClient, query: str, **options: object) -> list[str]:
    response = server.post("/v1/search", json={"query": query, **options})
    assert response.status_code == 200, response.text
    return [hit["title"] for hit in response.json()["hits"]]


def test_two_servers_share_milvus_and_outlive_it(
    filled: TestClient, other: TestClient, milvus: LiteServer, settings: Settings, check_problem: Callable[..., str]
) -> None:
    assert set(filled.get("/readyz").json().values()) == {"ready"}
    answer = filled.post("/v1/answers", json={"question": QUESTION}).json()
    assert answer["answer"] == "Amara Diallo"
    for mode in ("hybrid", "keyword", "vector"):
        assert titles(other, "founded in Lisbon", mode=mode)[0] == "history"
    assert titles(other, "support", filters={"year": {"$gt": 1986}}) == ["history"]
    assert "rag_index_passages 2.0" in other.get("/metrics").text
    key = b"The spare key hangs behind the kitchen door."
    created = filled.post("/v1/documents", files={"file": ("key.txt", key)}).json()
    assert titles(other, "spare key", mode="keyword") == ["key"]
    filled.delete(f"/v1/documents/{created['documents'][0]['id']}")
    assert titles(other, "spare key", mode="keyword") == []

    milvus.kill()
    for server in (filled, other):
        assert "Milvus" in check_problem(server.post("/v1/search", json={"query": "Lisbon"}), 503, "unavailable")
        ready = server.get("/readyz")
        assert ready.status_code == 503
        assert "Milvus" in ready.json()["index"]
        assert ready.json()["database"] == ready.json()["models"] == "ready"
    assert "Milvus" in check_problem(filled.post("/v1/answers", json={"question": QUESTION}), 503, "unavailable")
    metrics = other.get("/metrics").text
    assert "rag_milvus_up 0.0" in metrics
    assert "rag_database_up 1.0" in metrics
    uploaded = filled.post("/v1/documents", files={"file": ("key.txt", key)})
    assert uploaded.status_code == 201, uploaded.text

    milvus.start()
    wait_until(lambda: other.get("/readyz").status_code == 200)
    assert titles(other, "spare key", mode="keyword") == ["key"]
    assert titles(filled, "spare key")[0] == "key"
    assert set(filled.get("/readyz").json().values()) == {"ready"}
    assert not settings.index_dir.exists()
