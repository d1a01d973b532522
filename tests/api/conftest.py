"""A server over a real database with the real models, which are loaded once for all tests."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

import rag.assemble
from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.index.embedder import Embedder
from rag.reader.checkpoint import SHIPPED_WEIGHTS
from rag.reader.reader import Reader
from rag.store.database import Database

MAX_UPLOAD_BYTES = 50_000
SUPPORT = "# Support\n\nThe support rota 🦩 is kept by Amara Diallo. Tickets are answered within four hours.\n"
HISTORY = "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto in 1994."


@pytest.fixture(autouse=True)
def _loaded_once(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand out the models that earlier tests have loaded, and do not wait long for locks."""
    load = cache(Reader.load)
    monkeypatch.setattr(rag.assemble, "Embedder", lambda *_, **__: embedder)
    monkeypatch.setattr(Reader, "load", _READERS.setdefault("load", load))
    monkeypatch.setattr(rag.assemble, "Database", partial(Database, busy_timeout=0.2))


_READERS: dict[str, Callable[..., Reader]] = {}


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """A fresh database with all tables, and small limits."""
    return Settings(database_url=sqlite_url, data_dir=tmp_path / "data", max_upload_bytes=MAX_UPLOAD_BYTES)


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    """The service behind ``client``."""
    with Rag(settings) as opened:
        yield opened


@pytest.fixture
def client(service: Rag) -> Iterator[TestClient]:
    """A server without documents."""
    with TestClient(create_app(service=service)) as opened:
        yield opened


@pytest.fixture
def upload(client: TestClient) -> Callable[..., Response]:
    """Upload a file given as its name and its words or bytes."""

    def send(name: str, content: str | bytes, **fields: object) -> Response:
        data = content.encode() if isinstance(content, str) else content
        return client.post("/v1/documents", files={"file": (name, data)}, data=fields)

    return send


@pytest.fixture
def filled(client: TestClient, upload: Callable[..., Response]) -> TestClient:
    """A server with two documents."""
    assert upload("support.md", SUPPORT, tags='{"team": "ops"}').status_code == 201
    assert upload("history.txt", HISTORY, tags=["team=board", "year=1987"], origin="synthetic").status_code == 201
    return client
