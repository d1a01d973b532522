"""The database goes away and comes back: /readyz says so, requests get 503, and nothing needs a restart."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import make_url, text

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import StoreUnavailable
from rag.ingest.labels import NO_LABELS
from rag.store.database import Database
from tests.storage import writing_elsewhere
from tests.tcp_proxy import TcpProxy

Check = Callable[..., str]
QUESTION = {"question": "Who keeps the support rota?"}
ROTA = b"The support rota is kept by Amara Diallo."


def ask(server: TestClient) -> Response:
    return server.post("/v1/answers", json=QUESTION)


def check_gone(server: TestClient, check_problem: Check) -> str:
    """Every kind of request is told that it may be tried again; returns what /readyz says of the database."""
    ready = server.get("/readyz")
    assert (ready.status_code, server.get("/healthz").status_code) == (503, 200)
    for response in (
        ask(server),
        server.post("/v1/documents", files={"file": ("b.txt", b"Other words.")}),
        server.delete("/v1/documents/1"),
    ):
        check_problem(response, 503, "unavailable")
    said: str = ready.json()["database"]
    assert said != "ready"
    return said


def check_back(server: TestClient) -> None:
    assert server.get("/readyz").json() == {"database": "ready", "models": "ready", "index": "ready"}
    assert ask(server).json()["answer"] == "Amara Diallo"
    assert server.post("/v1/documents", files={"file": ("b.txt", b"Other words.")}).status_code == 201


def test_postgresql_server_that_cannot_be_reached_for_a_while(
    postgres_copy: str, tmp_path: Path, check_problem: Check
) -> None:
    url = make_url(postgres_copy)
    folder = url.query.get("host") or url.host or ""
    target = f"{folder}/.s.PGSQL.{url.port or 5432}" if str(folder).startswith("/") else (str(folder), url.port or 5432)
    with TcpProxy(target) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)
        settings = Settings(database_url=through, data_dir=tmp_path, store_timeout_s=2)
        with TestClient(create_app(settings)) as server:
            server.post("/v1/documents", files={"file": ("rota.txt", ROTA)})
            assert ask(server).status_code == 200
            proxy.close()
            assert "does not answer" in check_gone(server, check_problem)
            check_problem(server.get("/v1/documents"), 503, "unavailable")
            time.sleep(1)
            check_gone(server, check_problem)
            assert "rag_database_up 0.0" in server.get("/metrics").text
            proxy.reopen()
            check_back(server)
            assert len(server.get("/v1/answers").json()["answers"]) == 2  # one for each that was given


@pytest.mark.on_sqlite("one writer at a time is SQLite's way")
def test_sqlite_file_that_another_writer_keeps_locked(settings: Settings, check_problem: Check) -> None:
    with TestClient(create_app(settings)) as server:
        server.post("/v1/documents", files={"file": ("rota.txt", ROTA)})
        with writing_elsewhere(settings.resolved_database_url):
            assert "locked" in check_gone(server, check_problem)
            assert server.get("/v1/documents").status_code == 200  # looking is still possible
        check_back(server)


@pytest.mark.on_sqlite("it moves the file of the database")
def test_sqlite_file_that_is_moved_away_and_put_back(settings: Settings, check_problem: Check) -> None:
    path = Path(settings.resolved_database_url.removeprefix("sqlite:///"))
    with TestClient(create_app(settings)) as server:
        server.post("/v1/documents", files={"file": ("rota.txt", ROTA)})
        assert ask(server).status_code == 200
        away = path.with_name("away.db")
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.rename(away)
        assert "There is no database" in check_gone(server, check_problem)
        check_problem(server.get("/v1/documents"), 503, "unavailable")
        away.rename(path)
        check_back(server)


def test_replaced_sqlite_file_is_used_instead_of_the_one_that_is_gone(sqlite_database: Database) -> None:
    path = sqlite_database.path
    assert path is not None
    with sqlite_database.write() as session:
        session.execute(text("CREATE TABLE old (id INTEGER)"))
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("CREATE TABLE new (id INTEGER)")
    for name in ("-wal", "-shm"):
        path.with_name(f"{path.name}{name}").unlink()
    copy.rename(path)
    with sqlite_database.write() as session:
        assert session.scalar(text("SELECT count(*) FROM new")) == 0


def test_log_write_waits_no_longer_than_the_setting(settings: Settings) -> None:
    with Rag(settings.model_copy(update={"store_timeout_s": 0.5})) as service:
        service.ingester.upload(ROTA, name="rota.txt", collection="default", labels=NO_LABELS)
        service.ask(QUESTION["question"])
        with writing_elsewhere(settings.resolved_database_url):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="locked"):
                service.ask(QUESTION["question"])
            assert 0.4 < time.monotonic() - began < 10


def test_statement_that_takes_too_long_is_broken_off(postgres_copy: str) -> None:
    database = Database(postgres_copy, busy_timeout=0.3)
    with pytest.raises(StoreUnavailable, match="store_timeout_s"), database.write(soon=True) as session:
        session.execute(text("SELECT pg_sleep(20)"))
    with database.write() as session:
        session.execute(text("SELECT pg_sleep(0.5)"))  # an ingestion may take its time
    database.dispose()


def test_read_only_postgresql_is_not_ready(postgres_copy: str) -> None:
    database = Database(postgres_copy)
    database.require_writable()
    name = make_url(postgres_copy).database
    with database.write() as session:
        session.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    database.dispose()
    with pytest.raises(StoreUnavailable, match="read-only"):
        database.require_writable()
    database.dispose()
