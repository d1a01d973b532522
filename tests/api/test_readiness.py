"""A server is up before it can answer, says what it waits for, and answers as soon as it can."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.reader.checkpoint import ReaderConfig, save_reader
from rag.reader.model import ReaderModel
from rag.records import OWNER
from rag.store.database import Database
from rag.store.migrate import upgrade
from rag.store.tables import ModelFilePart

Check = Callable[..., str]
QUESTION = {"question": "Who keeps the support rota?"}


def test_server_that_was_started_before_its_database_answers_once_it_is_there(
    tmp_path: Path, check_problem: Check
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with TestClient(create_app(settings)) as server:
        assert server.get("/healthz").status_code == 200
        response = server.get("/readyz")
        assert response.status_code == 503
        assert "rag db upgrade" in response.json()["database"]
        assert "rag db upgrade" in check_problem(server.post("/v1/answers", json=QUESTION), 503, "unavailable")

        database = Database(settings.resolved_database_url)
        upgrade(database)
        database.dispose()
        assert server.get("/v1/collections").json() == {"collections": [], "next": None}
        response = server.get("/readyz")
        assert (response.status_code, set(response.json().values())) == (200, {"ready"})
        assert "ingest" in check_problem(server.post("/v1/answers", json=QUESTION), 404, "not-found")


def test_server_without_a_reader_says_so_and_still_searches(
    settings: Settings, tmp_path: Path, check_problem: Check
) -> None:
    with TestClient(create_app(settings.model_copy(update={"reader_weights": str(tmp_path / "none")}))) as server:
        assert server.post("/v1/documents", files={"file": ("a.txt", b"Some words.")}).status_code == 201
        response = server.get("/readyz")
        assert response.status_code == 503
        assert "reader_weights" in response.json()["models"]
        assert server.post("/v1/search", json={"query": "words"}).json()["hits"]
        assert "reader_weights" in check_problem(server.post("/v1/answers", json=QUESTION), 500, "model-error")


def test_server_whose_reader_was_damaged_in_the_database_says_so(
    settings: Settings, tmp_path: Path, tiny_model: ReaderModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.registry.model_registry.check_loads", lambda *_: None)
    save_reader(tmp_path / "reader", tiny_model, ReaderConfig())
    with Rag(settings) as service:
        options = {"kind": "reader", "max_blob_bytes": 10**8, "activate": True, "caller": OWNER}
        service.registry.add(tmp_path / "reader", name="basic", **options)
        with service.database.write() as session:
            session.execute(update(ModelFilePart).values(content=b"{}"))
    with TestClient(create_app(settings)) as server:
        response = server.get("/readyz")
        assert response.status_code == 503
        assert "is damaged or not the file that was added" in response.json()["models"]


def test_server_without_its_embedding_model_names_the_setting(settings: Settings, check_problem: Check) -> None:
    with TestClient(create_app(settings.model_copy(update={"embedding_model": "/nowhere"}))) as server:
        assert "embedding_model" in server.get("/readyz").json()["models"]
        response = server.post("/v1/search", json={"query": "words"})
        assert "embedding_model" in check_problem(response, 503, "unavailable")


def test_bad_database_url_is_told_without_its_password(settings: Settings, check_problem: Check) -> None:
    with TestClient(create_app(settings.model_copy(update={"database_url": "mysql://me:secret@here/db"}))) as server:
        response = server.get("/v1/collections")
        assert "mysql" in check_problem(response, 503, "unavailable")
        assert "secret" not in response.text + server.get("/readyz").text


def test_indexes_are_open_before_the_first_question(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words.")
    with Rag(settings) as service:
        service.ingest(tmp_path / "a.txt")
    app = create_app(settings)
    with TestClient(app):
        assert len(app.state.keeper.get().indexes.opened()) == 1


def test_service_that_was_given_stays_open_when_the_server_stops(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Rag] = []
    real = Rag.close
    monkeypatch.setattr(Rag, "close", lambda service: closed.append(service) or real(service))
    with Rag(settings) as given:
        with TestClient(create_app(service=given)) as server:
            assert server.get("/readyz").status_code == 200
        assert closed == []
        with TestClient(create_app(settings)):
            pass
        assert len(closed) == 1
