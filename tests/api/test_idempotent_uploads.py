"""An upload that is sent again under its key changes nothing and is answered as the first time."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import update

from rag.assemble import Rag
from rag.errors import Conflict, InvalidInput
from rag.store.database import Database
from rag.store.idempotency import LEASE, KeptResponse, claim_key, keep_response, release_key
from rag.store.tables import IdempotencyKey

Check = Callable[..., str]


def send(server: TestClient, key: str, *, name: str = "a.txt", content: str = "Some words.", **form: str) -> Response:
    headers = {"Idempotency-Key": key}
    return server.post("/v1/documents", files={"file": (name, content.encode())}, data=form, headers=headers)


def test_same_upload_is_answered_as_the_first_time(server: TestClient) -> None:
    first = send(server, "k1")
    assert server.delete(f"/v1/documents/{first.json()['documents'][0]['id']}").status_code == 204
    again = send(server, "k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert (again.headers["idempotency-replayed"], "idempotency-replayed" in first.headers) == ("true", False)
    assert server.get("/v1/documents").json()["documents"] == []  # it was not ingested again


def test_upload_in_the_background_is_answered_with_the_same_run(server: TestClient) -> None:
    sent = {
        "files": {"file": ("a.txt", b"Some words.")},
        "headers": {"Idempotency-Key": "k", "Prefer": "respond-async"},
    }
    first, again = (server.post("/v1/documents", **sent) for _ in range(2))
    assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
    assert len(server.get("/v1/ingestion-runs").json()["runs"]) == 1


@pytest.mark.parametrize(
    "other", [{"content": "Other words."}, {"name": "b.txt"}, {"tags": "a=b"}, {"origin": "synthetic"}]
)
def test_key_of_another_upload_is_refused(server: TestClient, check_problem: Check, other: dict[str, str]) -> None:
    assert send(server, "k1").status_code == 201
    assert "another request" in check_problem(send(server, "k1", **other), 422, "invalid-input")


def test_upload_that_failed_may_be_sent_again(server: TestClient) -> None:
    assert send(server, "k1", name="a.pdf", content="%PDF-1.7 nothing").status_code == 422
    assert send(server, "k1").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_key_is_printable_and_short(server: TestClient, check_problem: Check, key: str) -> None:
    assert "Idempotency-Key" in check_problem(send(server, key), 422, "invalid-input")


def test_second_of_two_at_once_is_told_to_come_back(
    server: TestClient, service: Rag, check_problem: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, began, go_on = service.ingester.upload, threading.Event(), threading.Event()

    def slowly(*arguments: Any, **options: Any) -> Any:
        began.set()
        assert go_on.wait(20)
        return upload(*arguments, **options)

    monkeypatch.setattr(service.ingester, "upload", slowly)
    answers: list[Response] = []
    thread = threading.Thread(target=lambda: answers.append(send(server, "k1")))
    thread.start()
    assert began.wait(20)
    refused = send(server, "k1")
    go_on.set()
    thread.join()
    assert "is being worked on" in check_problem(refused, 409, "conflict")
    assert answers[0].status_code == 201
    assert send(server, "k1").json() == answers[0].json()
    assert len(server.get("/v1/documents").json()["documents"]) == 1


def claim(database: Database, key: str = "k", scope: str = "*", sha256: str = "s", hours: float = 1) -> Any:
    with database.write() as session:
        return claim_key(session, scope=scope, key=key, request_sha256=sha256, keep=timedelta(hours=hours))


def test_key_is_claimed_kept_and_forgotten(database: Database) -> None:
    told = KeptResponse(status_code=201, headers={"location": "/x"}, body="{}")
    assert claim(database) is None
    assert claim(database, scope="other") is None  # a key means nothing to another sender
    with pytest.raises(Conflict):
        claim(database)
    with database.write() as session:
        keep_response(session, scope="*", key="k", response=told)
    assert claim(database) == told
    with pytest.raises(InvalidInput, match="another request"):
        claim(database, sha256="t")
    with database.write() as session:
        release_key(session, scope="*", key="k")
        release_key(session, scope="other", key="k")
    assert claim(database) == told
    assert claim(database, scope="other") is None


def test_kept_response_expires(database: Database) -> None:
    assert claim(database, hours=0.00001) is None
    with database.write() as session:
        keep_response(session, scope="*", key="k", response=KeptResponse(status_code=201, headers={}, body=""))
    time.sleep(0.1)
    assert claim(database, sha256="t") is None


def test_request_that_was_lost_with_its_server_may_be_tried_again(database: Database) -> None:
    assert claim(database) is None
    with database.write() as session:
        session.execute(update(IdempotencyKey).values(claimed_at=datetime.now(UTC) - LEASE * 1.1))
    assert claim(database) is None


def test_keys_of_two_people_have_nothing_to_do_with_each_other(closed: Callable[..., TestClient]) -> None:
    first, second = (closed("contributor", user_id=user) for user in ("amara", "bo"))
    assert send(first, "k1").status_code == 201
    response = send(second, "k1", name="b.txt", content="Other words.")
    assert (response.status_code, "idempotency-replayed" in response.headers) == (201, False)
