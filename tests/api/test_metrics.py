"""What a server counts and measures."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.store.index_changes import append_changes, last_change_id
from tests.storage import writing_elsewhere

QUESTION = {"question": "Who keeps the support rota?"}


def metric(server: TestClient, name: str, **labels: str) -> float:
    """The value of one sample; 0 where there is none."""
    response = server.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    samples = [sample for family in text_string_to_metric_families(response.text) for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def test_requests_are_counted_by_route_and_status_and_measured(filled: TestClient) -> None:
    for path in ("/v1/documents/1", "/v1/documents/2", "/v1/documents/99", "/nothing", "/etc/passwd"):
        filled.get(path)
    by_route = {"method": "GET", "route": "/v1/documents/{document_id}"}
    assert metric(filled, "rag_requests_total", **by_route, status="200") == 2
    assert metric(filled, "rag_requests_total", **by_route, status="404") == 1
    assert metric(filled, "rag_request_seconds_count", **by_route) == 3
    assert metric(filled, "rag_requests_total", route="unmatched", status="404") == 2
    assert metric(filled, "rag_requests_in_flight") == 1  # the one that asks
    filled.request("BREW", "/v1/documents")
    assert metric(filled, "rag_requests_total", method="other") == 1


def test_no_label_takes_what_people_send(filled: TestClient) -> None:
    filled.post("/v1/answers", json={**QUESTION, "collection": "canary"})
    filled.get("/v1/documents", params={"collection": "canary", "filter": "canary=1"})
    filled.get("/canary")
    filled.post("/v1/documents", files={"file": ("canary.txt", b"Some words.")}, data={"collection": "canary"})
    assert "canary" not in filled.get("/metrics").text


def test_answers_are_counted_by_what_became_of_them_and_measured_by_step(filled: TestClient) -> None:
    assert not filled.post("/v1/answers", json=QUESTION).json()["abstained"]
    filled.delete("/v1/documents/1")
    filled.delete("/v1/documents/2")
    assert filled.post("/v1/answers", json=QUESTION).json()["abstained"]
    assert metric(filled, "rag_answers_total", outcome="answered") == 1
    assert metric(filled, "rag_answers_total", outcome="abstained") == 1
    for step in ("embed", "retrieve", "read", "score", "total"):
        assert metric(filled, "rag_answer_step_seconds_count", step=step) == 2
    assert metric(filled, "rag_answers_limit") == 8


def test_questions_in_work_are_shown_and_those_beyond_the_limit_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Rag(settings.model_copy(update={"max_concurrent_answers": 1})) as service:
        began, go_on = threading.Event(), threading.Event()

        def wait(*_: object, **__: object) -> Any:
            began.set()
            assert go_on.wait(20)
            raise RuntimeError

        with TestClient(create_app(service=service), raise_server_exceptions=False) as server:
            monkeypatch.setattr(service.answerer, "answer_from", wait)
            server.post("/v1/documents", files={"file": ("a.txt", b"Some words.")})
            thread = threading.Thread(target=lambda: server.post("/v1/answers", json=QUESTION))
            thread.start()
            assert began.wait(20)
            assert metric(server, "rag_answers_in_work") == 1
            assert server.post("/v1/answers", json=QUESTION).status_code == 503
            go_on.set()
            thread.join()
            assert metric(server, "rag_answers_in_work") == 0
            assert metric(server, "rag_answers_total", outcome="busy") == 1


def test_answer_that_cannot_be_logged_is_counted_and_not_given(
    filled: TestClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    filled.post("/v1/answers", json=QUESTION)
    with writing_elsewhere(settings.resolved_database_url):
        response = filled.post("/v1/answers", json=QUESTION)
    assert response.status_code == 503
    assert metric(filled, "rag_answer_log_failures_total") == 1
    assert metric(filled, "rag_answers_total", outcome="not_logged") == 1
    assert "could not be logged" in caplog.text
    assert len(filled.get("/v1/answers").json()["answers"]) == 1


@pytest.mark.on_sqlite("only an index in a process can be behind SQL")
def test_index_and_uploads_are_measured(filled: TestClient, service: Rag) -> None:
    filled.post("/v1/search", json={"query": "rota"})
    assert metric(filled, "rag_indexes_open") == 1
    passages = metric(filled, "rag_index_passages")
    assert passages == 2
    assert metric(filled, "rag_index_changes_behind") == 0
    with service.database.write() as session:
        append_changes(session, 1, "remove", [7, 8, 9])
        assert last_change_id(session, 1) > 3
    assert metric(filled, "rag_index_changes_behind") == 3
    assert metric(filled, "rag_uploads_waiting") == 0
    assert metric(filled, "rag_database_up") == 1
    assert metric(filled, "process_resident_memory_bytes") > 1e6


def test_applications_count_for_themselves(filled: TestClient, service: Rag) -> None:
    with TestClient(create_app(service=service)) as other:
        other.post("/v1/answers", json=QUESTION)
        assert metric(other, "rag_requests_total", route="/v1/answers") == 1
        assert metric(filled, "rag_requests_total", route="/v1/answers") == 0
    with TestClient(create_app(service=service)) as third:
        assert metric(third, "rag_answers_total") == 0
