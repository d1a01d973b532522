"""A server over a real database with the real models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.records import OWNER, Role
from rag.store.api_keys import NewApiKey, create_api_key
from tests.storage import Storage

SUPPORT = "# Support\n\nThe support rota 🦩 is kept by Amara Diallo. Tickets are answered within four hours.\n"
HISTORY = "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto in 1994."


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for a lock."""
    monkeypatch.setenv("RAG_STORE_TIMEOUT_S", "0.2")


@pytest.fixture
def settings(storage: Storage, tmp_path: Path) -> Settings:
    """A fresh database with all tables: SQLite, or PostgreSQL with the search inside it."""
    return Settings(**storage, data_dir=tmp_path / "data", max_upload_bytes=50_000)


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    """The service behind ``server``."""
    with Rag(settings) as opened:
        yield opened


@pytest.fixture
def server(service: Rag) -> Iterator[TestClient]:
    """A server without documents."""
    with TestClient(create_app(service=service)) as client:
        yield client


@pytest.fixture
def closed(service: Rag, settings: Settings) -> Callable[..., TestClient]:
    """Clients from elsewhere of a server that listens to everybody, each with a key of its own: a role and its limits.

    Without a role, the client has no key.
    """
    app = create_app(settings.model_copy(update={"host": "0.0.0.0"}), service=service)

    def client(role: Role | None, *, user_id: str = "somebody", **limits: Any) -> TestClient:
        headers = {}
        if role is not None:
            with service.database.write() as session:
                new = NewApiKey(user_id=user_id, role=role, **limits)
                _, words = create_api_key(session, new, caller=OWNER)
            headers = {"Authorization": f"Bearer {words}"}
        return TestClient(app, base_url="http://rag.example.org", client=("10.0.0.7", 50_000), headers=headers)

    return client


@pytest.fixture
def upload(server: TestClient) -> Callable[..., Response]:
    """Upload a file given as its name and its words or bytes; further arguments are form fields."""

    def send(name: str, content: str | bytes, **fields: object) -> Response:
        data = content.encode() if isinstance(content, str) else content
        return server.post("/v1/documents", files={"file": (name, data)}, data=fields)

    return send


@pytest.fixture
def filled(server: TestClient, upload: Callable[..., Response]) -> TestClient:
    """A server with two documents."""
    assert upload("support.md", SUPPORT, tags='{"team": "ops"}').status_code == 201
    assert upload("history.txt", HISTORY, tags=["team=board", "year=1987"], origin="synthetic").status_code == 201
    return server


@pytest.fixture
def check_problem() -> Callable[..., str]:
    """Check that a response is a problem document, and return its sentence."""

    def check(response: Response, status: int, kind: str) -> str:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert set(problem) - {"setting"} == {"type", "title", "status", "detail", "instance", "request_id"}
        assert (problem["type"], problem["status"]) == (f"urn:rag:problem:{kind}", status)
        assert problem["instance"] == response.request.url.path
        assert problem["request_id"] == response.headers["x-request-id"]
        for trace in ("Traceback", 'File "', "site-packages"):
            assert trace not in response.text
        assert ("retry-after" in response.headers) == (status in (409, 429, 503))
        detail: str = problem["detail"]
        return detail

    return check
