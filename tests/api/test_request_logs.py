"""What a server logs of requests, and what it never logs."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from rag.api.request_logs import REQUEST_ID, REQUESTS, configure_logs
from rag.assemble import Rag

CANARY = "Who is the secret canary of the rota?"


@pytest.fixture
def logged() -> Iterator[Callable[[str], StringIO]]:
    """Configure the logs of a server in a style, and give where they go."""
    root, stream = logging.getLogger(), StringIO()
    kept, level = root.handlers, REQUESTS.level

    def configure(style: str) -> StringIO:
        root.handlers = [logging.StreamHandler(stream)]
        configure_logs(style)
        return stream

    yield configure
    root.handlers = kept
    REQUESTS.setLevel(level)


def test_each_request_is_a_json_object_with_its_id_route_status_and_time(
    filled: TestClient, logged: Callable[[str], StringIO]
) -> None:
    stream = logged("json")
    filled.get("/v1/documents/99", headers={"X-Request-ID": "abc-1"})
    filled.post("/v1/answers", json={"question": CANARY})
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    first, second = [record for record in records if record["logger"] == "rag.requests"]
    assert {name: first[name] for name in ("request_id", "method", "route", "status", "level")} == {
        "request_id": "abc-1",
        "method": "GET",
        "route": "/v1/documents/{document_id}",
        "status": 404,
        "level": "info",
    }
    assert first["time"].endswith("+00:00")
    assert second["duration_ms"] > 0
    assert second["request_id"] != "abc-1"
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_is_logged_within_a_request_has_its_id_and_no_question(
    filled: TestClient, service: Rag, logged: Callable[[str], StringIO], style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = logged(style)
    monkeypatch.setattr(service.answerer, "to_log", _with_a_score_twice(service))
    response: Response = filled.post("/v1/answers", json={"question": CANARY}, headers={"X-Request-ID": "abc-2"})
    assert response.status_code == 500
    assert "canary" not in stream.getvalue() + response.text
    assert "IntegrityError" in stream.getvalue()
    lines = [line for line in stream.getvalue().splitlines() if "abc-2" in line]
    assert len(lines) >= 2  # the failure and the request
    if style == "json":
        failure = json.loads(next(line for line in lines if '"exception"' in line))
        assert (failure["request_id"], failure["level"]) == ("abc-2", "error")
    assert REQUEST_ID.get() is None


def _with_a_score_twice(service: Rag) -> Callable[..., Any]:
    """What breaks a key in the database, whose message would repeat what was to be stored."""
    to_log = service.answerer.to_log

    def twice(considered: Any) -> Any:
        new = to_log(considered)
        return type(new)(**{**{name: getattr(new, name) for name in new.__slots__}, "scores": [*new.scores] * 2})

    return twice


def test_records_outside_of_requests_have_no_id(logged: Callable[[str], StringIO]) -> None:
    stream = logged("json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("rag").error("It failed: %s", "so", exc_info=sys.exc_info())
    (record,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert record["message"] == "It failed: so"
    assert "ValueError: broken" in record["exception"]
    assert "request_id" not in record
