"""A disk that takes no more bytes: no answer waits for the log beyond the limit, and what came of it is told."""

import logging
import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.config import Settings
from tests.slow_disk import slow_disk

QUESTION = {"question": "Who keeps the support rota?"}
READY = {"database": "ready", "models": "ready", "index": "ready"}


@pytest.mark.on_sqlite("it holds up the writes of SQLite to its file")
def test_answers_are_refused_in_time_while_the_disk_hangs(
    settings: Settings, check_problem: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(create_app(settings.model_copy(update={"store_timeout_s": 0.4}))) as server:
        server.post("/v1/documents", files={"file": ("rota.txt", b"The support rota is kept by Amara Diallo.")})
        assert server.post("/v1/answers", json=QUESTION).status_code == 200
        with slow_disk() as disk:
            began = time.monotonic()
            for _ in range(2):  # the second one comes upon the lock that the first one holds
                check_problem(server.post("/v1/answers", json=QUESTION), 503, "unavailable")
            assert time.monotonic() - began < 15
            assert disk.reached.is_set()
            ready = server.get("/readyz")
            assert ready.status_code == 503
            assert "does not return from logging an answer" in ready.json()["database"]
            assert server.get("/healthz").status_code == 200
            assert len(server.get("/v1/answers").json()["answers"]) == 1  # looking is still possible
            with caplog.at_level(logging.ERROR):
                disk.let_go()
                end = time.monotonic() + 20
                while server.get("/readyz").json() != READY:
                    assert time.monotonic() < end
        assert server.post("/v1/answers", json=QUESTION).status_code == 200
        answers = server.get("/v1/answers").json()["answers"]
    assert [answer["answer_id"] for answer in answers] == [3, 2, 1]  # the second one was written after all
    assert "Answer 2 was not given" in caplog.text
