"""Streamed answers from a real server: their events, what never leaks, and callers who go away."""

import json
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from rag.api.answer_events import tokens_of
from rag.api.app import create_app
from rag.api.workers import Workers
from rag.assemble import Rag
from rag.cancellation import NEVER, Cancellation
from rag.config import Settings
from rag.errors import Cancelled, GeneratorUnavailable
from rag.generators.generator import Generation
from rag.ingest.labels import NO_LABELS
from rag.records import Hit
from rag.store import tables
from tests.api.running_server import running, wait_until

QUESTION = {"question": "Who keeps the support rota?"}
SUPPORT = "# Support\n\nThe support rota is kept by Amara Diallo. Tickets are answered within four hours.\n"


class SlowGenerator:
    """The service's generator, which writes token by token and can be held up in between."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.writing, self.go_on = threading.Event(), threading.Event()
        self.ended_with: list[BaseException] = []
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def generate(self, question: str, hits: Sequence[Hit], *, cancellation: Cancellation = NEVER) -> Generation:
        self.writing.set()
        try:
            while not self.go_on.wait(0.02):  # a token
                cancellation.check()
        except Cancelled as error:
            self.ended_with.append(error)
            raise
        if self.failure is not None:
            raise self.failure
        return self._real.generate(question, hits)


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    with Rag(settings.model_copy(update={"max_concurrent_answers": 1, "max_waiting_answers": 0})) as opened:
        yield opened


@pytest.fixture
def slow(service: Rag) -> SlowGenerator:
    generator = SlowGenerator(service.generator)
    service.answerer._generator = generator
    return generator


@pytest.fixture
def app(service: Rag) -> Any:
    return create_app(service=service)


@pytest.fixture
def client(app: Any) -> Iterator[httpx2.Client]:
    with running(app) as url, httpx2.Client(base_url=url, timeout=30) as opened:
        response = opened.post("/v1/documents", files={"file": ("support.md", SUPPORT.encode())})
        assert response.status_code == 201
        yield opened


def _events(body: str) -> list[tuple[str, Any]]:
    """The named events of a stream, by WHATWG HTML, section 9.2.6; comments are left out."""
    events = []
    for block in re.split(r"\n\n", body.strip()):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def _num_logged(service: Rag) -> int:
    with service.database.read() as session:
        return session.scalar(select(func.count()).select_from(tables.Answer)) or 0


def test_stream_brings_passages_words_citations_and_the_logged_answer(client: httpx2.Client) -> None:
    response = client.post("/v1/answers", json={**QUESTION, "stream": True})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert "content-length" not in response.headers
    events = _events(response.text)
    names = [name for name, _ in events]
    assert names == ["passages", "token", "token", "citation", "answer"]
    answer = events[-1][1]
    assert "".join(data["text"] for name, data in events if name == "token") == answer["answer"] == "Amara Diallo"
    assert [{**data} for name, data in events if name == "citation"] == [{**answer["citations"][0], "index": 0}]
    assert {hit["id"] for hit in events[0][1]["passages"]} == {hit["id"] for hit in answer["passages"]}
    assert client.get(f"/v1/answers/{answer['id']}").json().items() >= answer.items()


def test_header_asks_for_a_stream_unless_the_body_says_no(client: httpx2.Client) -> None:
    headers = {"Accept": "text/event-stream"}
    assert _events(client.post("/v1/answers", json=QUESTION, headers=headers).text)[-1][0] == "answer"
    plain = client.post("/v1/answers", json={**QUESTION, "stream": False}, headers=headers)
    assert plain.json()["answer"] == "Amara Diallo"


def test_withheld_answer_leaks_no_word(client: httpx2.Client, service: Rag) -> None:
    service.answerer._abstain_below = 1.01
    response = client.post("/v1/answers", json={**QUESTION, "stream": True})
    events = _events(response.text)
    assert [name for name, _ in events] == ["passages", "answer"]
    assert events[-1][1]["abstained"]
    assert '"answer":""' in response.text


def test_no_word_comes_before_the_answer_is_logged(client: httpx2.Client, service: Rag, slow: SlowGenerator) -> None:
    service.settings = service.settings.model_copy(update={"stream_keep_alive_s": 0.1})
    with client.stream("POST", "/v1/answers", json={**QUESTION, "stream": True}) as response:
        lines = response.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: passages"
        assert slow.writing.wait(30)
        later = []
        for line in lines:
            if line.startswith(":"):
                slow.go_on.set()
            if line == "event: token" and not later:
                assert _num_logged(service) == 1
            if line.startswith("event") or line.startswith(":"):
                later.append(line)
    assert later[0] == ": ping"  # kept alive while the generator was at work
    assert [line for line in later if not line.startswith(":")][-1] == "event: answer"


def test_error_before_the_first_event_has_a_status_of_its_own(client: httpx2.Client) -> None:
    body = {**QUESTION, "stream": True}
    for more, status in (({"collection": "nope"}, 404), ({"question": " "}, 422), ({"conversation_id": 99}, 404)):
        response = client.post("/v1/answers", json={**body, **more})
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"


def test_later_error_is_the_last_event(client: httpx2.Client, service: Rag, slow: SlowGenerator) -> None:
    slow.failure = GeneratorUnavailable("The model is down.")
    slow.go_on.set()
    response = client.post("/v1/answers", json={**QUESTION, "stream": True})
    assert response.status_code == 200
    (first, _), (name, problem) = _events(response.text)
    assert (first, name) == ("passages", "error")
    assert (problem["status"], problem["detail"]) == (503, "The model is down.")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert _num_logged(service) == 0


@pytest.mark.parametrize("stream", [True, False])
def test_caller_who_goes_away_frees_the_worker_within_a_second(
    client: httpx2.Client, app: Any, service: Rag, slow: SlowGenerator, stream: bool
) -> None:
    workers: Workers = app.state.workers
    url = client.base_url
    body = json.dumps({**QUESTION, "stream": stream}).encode()
    fields = f"Host: {url.host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST /v1/answers HTTP/1.1\r\n{fields}\r\n\r\n"
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head.encode() + body)
        assert slow.writing.wait(30)
        assert workers.num_busy == 1
        busy = client.post("/v1/answers", json=QUESTION)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert wait_until(lambda: workers.num_busy == 0, seconds=5) < 1
    assert slow.ended_with
    assert _num_logged(service) == 0, "what was not given is not logged"
    slow.go_on.set()
    assert client.post("/v1/answers", json=QUESTION).json()["answer"] == "Amara Diallo"


def test_question_that_waits_for_the_generator_is_given_up_too(service: Rag) -> None:
    cancellation = Cancellation()
    lock = service.answerer._generating
    assert lock is not None
    service.ingester.upload(SUPPORT.encode(), name="a.md", collection="default", labels=NO_LABELS)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            service.ask("Who keeps the support rota?", cancellation=cancellation, on_found=lambda _: found.set())
        except Cancelled as error:
            failures.append(error)

    found = threading.Event()
    with lock:
        thread = threading.Thread(target=ask)
        thread.start()
        assert found.wait(30)
        cancellation.cancel()
        thread.join(5)
    assert failures
    assert _num_logged(service) == 0
    assert service.ask("Who keeps the support rota?").answer


def test_health_is_told_while_all_workers_are_busy(client: httpx2.Client, slow: SlowGenerator) -> None:
    thread = threading.Thread(target=client.post, args=("/v1/answers",), kwargs={"json": QUESTION})
    thread.start()
    assert slow.writing.wait(30)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    slow.go_on.set()
    thread.join(30)


@pytest.mark.parametrize("answer", ["", "one", " two  words\nhere ", "Amara Diallo [1]\n\nSources:\n[1] x\n"])
def test_tokens_joined_are_the_answer(answer: str) -> None:
    assert "".join(tokens_of(answer)) == (answer if answer.strip() else "")
