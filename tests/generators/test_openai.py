"""The client against a real server on the loopback, which keeps to the protocol or breaks it in every way we know."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

import rag.generators.openai as openai
from rag.cancellation import Cancellation
from rag.errors import Cancelled, GeneratorUnavailable, InvalidInput
from rag.generators.completion_stream import MAX_REPLY_CHARS
from rag.generators.openai import OpenAIServer, ServerOptions
from rag.generators.prompt import Prompt

PROMPT = Prompt(system="Rules.", user="Who keeps the rota? 🦩", num_passages=1)
KEY = "sk-very-secret-0123"
Connect = Callable[..., OpenAIServer]


def _event(said: str, *, finish_reason: str | None = None) -> str:
    choice = {"delta": {"content": said}, "finish_reason": finish_reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


def _streams(body: str | bytes, kind: str = "text/event-stream") -> Callable[[Any], None]:
    return lambda handler: handler.send(kind, body)


def _fails(status: int, body: str = "{}", **headers: str) -> Callable[[Any], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send("application/json", body, status=status, headers=named)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(openai.anyio, "sleep", sleep)
    return waited


def _problem(client: OpenAIServer) -> str:
    with pytest.raises(GeneratorUnavailable) as caught:
        client.reply(PROMPT)
    return str(caught.value)


def test_streamed_reply_is_put_together_with_the_name_that_the_server_reports(
    model_server: Any, connect: Connect
) -> None:
    model_server.will_say("Amara Diallo – 張 🦩 [1].")
    reply = connect(model="any", seed=7, max_new_tokens=33, api_key=KEY).reply(PROMPT)
    assert reply.text == "Amara Diallo – 張 🦩 [1]."
    assert reply.model == "fake-7b-q4"
    assert reply.details == {"finish_reason": "stop", "system_fingerprint": "fp1"}
    ((path, headers, body),) = model_server.asked
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "any",
        "messages": [{"role": "system", "content": "Rules."}, {"role": "user", "content": PROMPT.user}],
        "max_tokens": 33,
        "temperature": 0.0,
        "seed": 7,
        "stream": True,
    }


def test_server_that_does_not_stream_is_understood(model_server: Any, connect: Connect) -> None:
    whole = {"model": "m", "choices": [{"message": {"content": "Yes [1]."}, "finish_reason": "stop"}]}
    model_server.will(_streams(json.dumps(whole), "application/json"))
    assert connect().reply(PROMPT).text == "Yes [1]."


def test_model_is_asked_for_once_where_none_is_named(model_server: Any, connect: Connect) -> None:
    model_server.will_say("Yes.")
    client = connect()
    client.reply(PROMPT)
    client.reply(PROMPT)
    assert [body["model"] for body in model_server.bodies] == ["fake-7b", "fake-7b"]
    assert [path for path, _, body in model_server.asked if body is None] == ["/v1/models"]
    assert client.name == client.settings["generator_model"] == "fake-7b"


@pytest.mark.parametrize("models", [[], ["a", "b"]])
def test_server_with_any_other_number_of_models_names_the_setting(
    model_server: Any, connect: Connect, models: list[str]
) -> None:
    model_server.models = models
    problem = _problem(connect())
    assert "generator_model" in problem
    assert all(name in problem for name in models)


def test_finished_stream_without_its_last_line_is_whole(model_server: Any, connect: Connect) -> None:
    model_server.will(_streams(_event("Yes.") + _event("", finish_reason="stop")))
    assert connect().reply(PROMPT).text == "Yes."


DEEP = "[" * 100_000
NOT_COMPLETIONS = {
    "cut between events": (_streams(_event("Half an ans")), "breaks off"),
    "cut within an event": (_streams('data: {"choices": [{"del'), "breaks off"),
    "nothing": (_streams(""), "breaks off"),
    "garbage": (_streams(b"\xff\xfe\x00data"), "breaks off"),
    "garbage in an event": (_streams("data: hello\n\n"), "not JSON"),
    "deep": (_streams(f"data: {DEEP}\n\n"), "not JSON"),
    "a list": (_streams("data: []\n\n"), "no object"),
    "other JSON": (_streams('data: {"text": "hi"}\n\n'), "no chat completion"),
    "other choices": (_streams('data: {"choices": ["hi"]}\n\n'), "no chat completion"),
    "content of another type": (_streams('data: {"choices": [{"delta": {"content": 7}}]}\n\n'), "no chat completion"),
    "an error on the way": (
        _streams(_event("A") + 'data: {"error": {"message": "out of memory"}}\n\n'),
        "out of memory",
    ),
    "a web page": (_streams("<html>hello</html>", "text/html; charset=utf-8"), "web page.*generator.*/v1"),
    "plain text": (_streams("hello", "text/plain"), "text/plain"),
    "no type": (_streams("hello", ""), "type ''"),
    "a whole reply of another form": (_streams('{"choices": []}', "application/json"), "no chat completion"),
    "a long answer": (_streams(_event("x" * (MAX_REPLY_CHARS + 1))), "50,000 characters"),
    "a long event": (_streams("data: " + "x" * 1_100_000), "limit|more than"),
    "a long whole reply": (_streams('"' + "x" * 1_100_000, "application/json"), "more than 1,000,000 bytes"),
    "compressed": (lambda h: h.send("text/event-stream", b"\x1f", headers={"content-encoding": "gzip"}), "compresses"),
    "only thoughts": (_streams(_event("", finish_reason="length") + "data: [DONE]\n\n"), "generator_max_new_tokens"),
}


@pytest.mark.parametrize("fault", NOT_COMPLETIONS)
def test_what_is_no_completion_is_told_in_a_sentence(model_server: Any, connect: Connect, fault: str) -> None:
    act, message = NOT_COMPLETIONS[fault]
    model_server.will(act)
    with pytest.raises(GeneratorUnavailable, match=message) as caught:
        connect(retries=2).reply(PROMPT)
    assert str(caught.value).startswith(f"The model server at {model_server.url} ")
    assert len(str(caught.value)) < 400
    assert len(model_server.bodies) == 1  # it would only do so again


def test_endless_stream_is_ended(model_server: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.generators.completion_stream.MAX_STREAM_BYTES", 5_000)
    model_server.will(_streams(_event("") * 100))
    assert "more than 5,000 bytes" in _problem(connect())


def test_connection_that_is_cut_in_the_middle_of_a_chunk(model_server: Any, connect: Connect) -> None:
    def cut(handler: Any) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"ff\r\n" + _event("Half").encode())
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    model_server.will(cut)
    assert "breaks off" in _problem(connect(retries=2))
    assert len(model_server.bodies) == 1


def test_server_that_is_not_there_is_tried_again_and_then_named(waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = OpenAIServer(ServerOptions(url=f"http://127.0.0.1:{port}/v1", retries=3))
    problem = _problem(client)
    assert f"http://127.0.0.1:{port}/v1 cannot be reached" in problem
    assert waits == [0.5, 1.0, 2.0]
    with pytest.raises(GeneratorUnavailable, match="cannot be reached"):
        client.check()
    assert len(waits) == 3


def test_host_that_does_not_exist_is_named() -> None:
    assert "cannot be reached" in _problem(OpenAIServer(ServerOptions(url="http://nowhere.invalid/v1", retries=0)))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_failure_that_may_pass_is_tried_again(
    model_server: Any, connect: Connect, waits: list[float], status: int
) -> None:
    done = _streams(_event("Yes.", finish_reason="stop"))
    model_server.will(_fails(status), _fails(status), done)
    assert connect(model="m", retries=2).reply(PROMPT).text == "Yes."
    assert waits == [0.5, 1.0]


def test_hang_up_before_any_reply_is_tried_again(model_server: Any, connect: Connect, waits: list[float]) -> None:
    model_server.will(
        lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), _streams(_event("Yes.", finish_reason="stop"))
    )
    assert connect(model="m", retries=1).reply(PROMPT).text == "Yes."
    assert waits == [0.5]


def test_retries_are_counted(model_server: Any, connect: Connect, waits: list[float]) -> None:
    model_server.will(_fails(503, '{"error": {"message": "loading\\nthe model"}}'))
    assert "(status 503): loading the model" in _problem(connect(model="m", retries=2))
    assert (len(model_server.bodies), len(waits)) == (3, 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 500, 501])
def test_other_failures_are_final(model_server: Any, connect: Connect, waits: list[float], status: int) -> None:
    model_server.will(_fails(status))
    assert f"status {status}" in _problem(connect(model="m", retries=2))
    assert (len(model_server.bodies), waits) == (1, [])


def test_pause_that_the_server_asks_for_is_kept(model_server: Any, connect: Connect, waits: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=5), usegmt=True)
    done = _streams(_event("Yes.", finish_reason="stop"))
    model_server.will(_fails(429, retry_after="3"), _fails(503, retry_after=soon), _fails(503, retry_after="x"), done)
    connect(model="m", retries=3).reply(PROMPT)
    assert waits[0] == 3.0
    assert 2.5 < waits[1] <= 5.0
    assert waits[2] == 2.0


@pytest.mark.parametrize(("retry_after", "timeout_s"), [("3600", 100), ("15", 10)])
def test_pause_beyond_the_time_limit_is_not_waited_for(
    model_server: Any, connect: Connect, waits: list[float], retry_after: str, timeout_s: float
) -> None:
    model_server.will(_fails(429, retry_after=retry_after))
    assert "status 429" in _problem(connect(model="m", retries=2, timeout_s=timeout_s))
    assert (len(model_server.bodies), waits) == (1, [])


def test_silence_ends_at_the_read_timeout(model_server: Any, connect: Connect) -> None:
    model_server.will(lambda _: model_server.over.wait(20))
    started = time.monotonic()
    assert "generator_read_timeout_s" in _problem(connect(model="m", read_timeout_s=0.2, retries=2))
    assert time.monotonic() - started < 2
    assert len(model_server.bodies) == 1


def test_answer_that_drips_ends_at_the_whole_timeout(model_server: Any, connect: Connect) -> None:
    def drip(handler: Any) -> None:
        handler.send("text/event-stream", "")
        while not model_server.over.wait(0.05):
            handler.wfile.write(_event("a").encode())

    model_server.will(drip)
    started = time.monotonic()
    assert "generator_timeout_s" in _problem(connect(model="m", timeout_s=0.5, read_timeout_s=60))
    assert 0.4 < time.monotonic() - started < 2


def test_headers_that_drip_end_at_the_whole_timeout(model_server: Any, connect: Connect) -> None:
    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not model_server.over.wait(0.05):
            handler.wfile.write(b"x")

    model_server.will(drip)
    started = time.monotonic()
    assert "generator_timeout_s" in _problem(connect(model="m", timeout_s=0.5, read_timeout_s=60))
    assert time.monotonic() - started < 2


def test_redirect_is_not_followed(model_server: Any, connect: Connect) -> None:
    model_server.will(_fails(307, location=f"{model_server.url}/elsewhere"))
    assert "another address" in _problem(connect(model="m", api_key=KEY))
    assert len(model_server.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_key_is_in_no_message_and_no_log(
    model_server: Any, connect: Connect, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    model_server.will(_fails(status, json.dumps({"error": {"message": f"Incorrect key {KEY} given"}})))
    client = connect(model="m", api_key=KEY)
    assert KEY not in _problem(client)
    assert KEY not in caplog.text + str(client.settings) + repr(client.__dict__)


def test_environment_moves_no_request(
    model_server: Any, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    model_server.will_say("Yes.")
    assert connect(model="m").reply(PROMPT).text == "Yes."
    assert "authorization" not in model_server.asked[0][1]


def test_check_is_content_with_a_server_that_lists_no_models(model_server: Any, connect: Connect) -> None:
    connect().check()
    model_server.models = None
    connect().check()


def test_url_that_cannot_be_used_names_the_setting() -> None:
    with pytest.raises(InvalidInput, match="generator"):
        OpenAIServer(ServerOptions(url="http://a\x00b/v1"))


def test_questions_run_side_by_side(model_server: Any, connect: Connect) -> None:
    together = threading.Barrier(3, timeout=10)

    def meet(handler: Any) -> None:
        together.wait()
        handler.send("text/event-stream", _event("Yes.", finish_reason="stop"))

    model_server.will(meet)
    client = connect(model="m")
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(client.reply(PROMPT).text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["Yes."] * 3
    assert not client.one_at_a_time


def test_works_where_an_event_loop_runs_already(model_server: Any, connect: Connect) -> None:
    import asyncio

    model_server.will_say("Yes.")

    async def notebook_cell() -> str:
        return connect(model="m").reply(PROMPT).text

    assert asyncio.run(notebook_cell()) == "Yes."


def test_cancelled_reply_closes_the_connection_at_once(model_server: Any, connect: Connect) -> None:
    writing, hung_up = threading.Event(), threading.Event()

    def write_for_ever(handler: Any) -> None:
        handler.send("text/event-stream", _event("The rota"))
        handler.wfile.flush()
        writing.set()
        try:
            while not model_server.over.wait(0.02):
                handler.wfile.write(_event(" is").encode())
                handler.wfile.flush()
        except OSError:
            hung_up.set()

    model_server.will(write_for_ever)
    cancellation = Cancellation()
    ended: list[float] = []

    def ask() -> None:
        with pytest.raises(Cancelled):
            connect(model="m", timeout_s=60).reply(PROMPT, cancellation=cancellation)
        ended.append(time.monotonic())

    thread = threading.Thread(target=ask)
    thread.start()
    assert writing.wait(10)
    cancelled_at = time.monotonic()
    cancellation.cancel()
    thread.join(10)
    assert ended[0] - cancelled_at < 1
    assert hung_up.wait(5), "the server can stop writing"


def test_reply_that_is_cancelled_before_it_begins_is_not_asked_for(model_server: Any, connect: Connect) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled):
        connect(model="m").reply(PROMPT, cancellation=cancellation)
    assert model_server.bodies == []
