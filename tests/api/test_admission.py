"""Beyond the limit a request is refused at once, and what is let in is not disturbed."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from tests.api.running_server import wait_until


def test_requests_beyond_the_limit_are_refused_at_once_and_health_is_not(
    settings: Settings, check_problem: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Rag(settings.model_copy(update={"max_concurrent_requests": 2})) as service:
        inside, go_on = threading.Semaphore(0), threading.Event()

        def wait(*_: object, **__: object) -> Any:
            inside.release()
            assert go_on.wait(30)
            return type("Found", (), {"hits": ()})

        monkeypatch.setattr(service.retriever, "search", wait)
        with TestClient(create_app(service=service)) as server:
            statuses: list[int] = []

            def search() -> None:
                statuses.append(server.post("/v1/search", json={"query": "x"}).status_code)

            threads = [threading.Thread(target=search) for _ in range(2)]
            for thread in threads:
                thread.start()
                assert inside.acquire(timeout=30)
            began = time.monotonic()
            refused = server.get("/v1/documents")
            assert time.monotonic() - began < 2
            assert "max_concurrent_requests" in check_problem(refused, 503, "busy")
            for path in ("/healthz", "/readyz", "/metrics", "/"):
                assert server.get(path).status_code == 200
            go_on.set()
            for thread in threads:
                thread.join()
            assert statuses == [200, 200]
            assert server.get("/v1/collections").status_code == 200


@pytest.mark.usefixtures("filled")
def test_a_stream_that_has_begun_takes_no_place(service: Rag, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = threading.Event(), threading.Event()
    generate = service.generator.generate

    def wait(*arguments: Any, **options: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return generate(*arguments, **options)

    monkeypatch.setattr(service.generator, "generate", wait)
    settings = service.settings.model_copy(update={"max_concurrent_requests": 1})
    with TestClient(create_app(settings, service=service)) as server:
        streamed: list[str] = []

        def stream() -> None:
            question = {"question": "Who keeps the support rota?", "stream": True}
            streamed.append(server.post("/v1/answers", json=question).text)

        thread = threading.Thread(target=stream)
        thread.start()
        assert inside.wait(30)
        wait_until(lambda: server.get("/v1/documents").status_code == 200)
        go_on.set()
        thread.join()
        assert "event: answer" in streamed[0]


def test_client_of_the_openai_protocol_is_refused_in_its_form(
    service: Rag, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.api.admission.Admission._is_full", property(lambda _: True))
    with TestClient(create_app(settings, service=service)) as server:
        refused = server.post("/v1/embeddings", json={"model": "rag", "input": "x"})
    assert refused.status_code == 503
    assert refused.json()["error"]["type"] == "server_error"
    assert "max_concurrent_requests" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"
