"""The OpenAI-compatible routes with the real ``openai`` client against a real server, and with our own generator."""

import base64
from collections.abc import Iterator
from typing import Any

import anyio
import httpx2
import numpy as np
import openai
import pytest

from rag.answer_queue import AnswerQueue
from rag.api.app import create_app
from rag.api.chat import NO_ANSWER, content_of, marked, question_of
from rag.api.openai_schemas import ChatMessage
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput
from rag.generators.openai import OpenAIServer, ServerOptions
from rag.generators.prompt import build_prompt
from rag.records import Turn
from rag.store.answers import get_answer
from tests.api.running_server import running

SUPPORT = "# Support\n\nThe support rota is kept by Amara Diallo. Tickets are answered within four hours.\n"
HISTORY = "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto in 1994."
FOUNDER: list[Any] = [{"role": "user", "content": "Who founded the company?"}]


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    with Rag(settings.model_copy(update={"max_question_chars": 5_000})) as opened:
        yield opened


@pytest.fixture
def url(service: Rag) -> Iterator[str]:
    with running(create_app(service=service)) as base, httpx2.Client(base_url=base, timeout=30) as client:
        for name, words in (("support.md", SUPPORT), ("history.txt", HISTORY)):
            assert client.post("/v1/documents", files={"file": (name, words.encode())}).status_code == 201
        yield f"{base}/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


def test_completion_holds_the_answer_its_marks_its_sources_and_exact_citations(
    client: openai.OpenAI, service: Rag
) -> None:
    completion = client.chat.completions.create(model="rag", messages=FOUNDER, temperature=0.2, max_tokens=50, seed=1)
    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.content == "Maria Costa [1]\n\nSources:\n[1] history, upload:history.txt"
    (citation,) = choice.message.model_extra["citations"]
    assert HISTORY[citation["start"] : citation["end"]] == citation["quote"] == "Maria Costa"
    assert choice.message.model_extra["abstained"] is False
    assert completion.usage is not None
    passages = service.search("Who founded the company?")
    counted = service.reader.count_tokens(["Who founded the company?", *(hit.text for hit in passages), "Maria Costa"])
    assert completion.usage.completion_tokens == counted[-1]
    assert completion.usage.prompt_tokens == sum(counted[:-1])
    with service.database.read() as session:
        logged = get_answer(session, choice.message.model_extra["answer_id"])
    assert (logged.answer.question, logged.answer.answer) == ("Who founded the company?", "Maria Costa")


def test_stream_holds_the_same_and_its_last_chunk_the_citations(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="rag:default", messages=FOUNDER)
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="rag:default", messages=FOUNDER, stream=True, stream_options=options)
    )
    *said, last, usage = chunks
    assert said[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in said) == whole.choices[0].message.content
    assert all(chunk.choices[0].finish_reason is None for chunk in said)
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.model_extra["citations"] == whole.choices[0].message.model_extra["citations"]
    assert (usage.choices, usage.usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_helper_of_the_client_puts_it_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="rag", messages=FOUNDER) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content.startswith("Maria Costa [1]")


def test_asynchronous_client_gets_the_same(url: str) -> None:
    async def ask() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            whole = await client.chat.completions.create(model="rag", messages=FOUNDER)
            stream = await client.chat.completions.create(model="rag", messages=FOUNDER, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return whole.choices[0].message.content, "".join(pieces)

    whole, streamed = anyio.run(ask)
    assert whole == streamed


def test_earlier_messages_tell_what_a_follow_up_means(client: openai.OpenAI, service: Rag) -> None:
    said = client.chat.completions.create(model="rag", messages=FOUNDER).choices[0].message.content
    messages: list[Any] = [
        {"role": "system", "content": "You are a pirate."},
        *FOUNDER,
        {"role": "assistant", "content": said},
        {"role": "user", "content": [{"type": "text", "text": "And when did it move to Porto?"}]},
    ]
    message = client.chat.completions.create(model="rag", messages=messages).choices[0].message
    assert message.content.startswith("1994 [1]")
    with service.database.read() as session:
        logged = get_answer(session, message.model_extra["answer_id"]).answer
    assert logged.standalone_question == "When did the company move to Porto?"
    assert logged.conversation_id is None


def test_what_the_documents_do_not_hold_is_said(client: openai.OpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": "What is the boiling point of tungsten in kelvin?"}]
    message = client.chat.completions.create(model="rag", messages=asked).choices[0].message
    assert message.content == NO_ANSWER
    assert (message.model_extra["abstained"], message.model_extra["citations"]) == (True, [])
    pieces = client.chat.completions.create(model="rag", messages=asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == NO_ANSWER


def test_filters_and_top_k_go_with_the_request(client: openai.OpenAI, service: Rag) -> None:
    extra = {"filters": {"title": "history"}, "top_k": 1}
    message = client.chat.completions.create(model="rag", messages=FOUNDER, extra_body=extra).choices[0].message
    with service.database.read() as session:
        logged = get_answer(session, message.model_extra["answer_id"])
    assert len(logged.answer.passages) == 1
    assert logged.settings["filters"] == {"title": "history"}


@pytest.mark.parametrize(
    ("option", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": ["x"]}, "stop"),
        ({"extra_body": {"colour": "red"}}, "colour"),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, None),
    ],
)
def test_what_would_change_the_meaning_is_refused_by_name(
    client: openai.OpenAI, option: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "rag", "messages": FOUNDER, **option})
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param == param
    assert param is None or param in caught.value.message


@pytest.mark.parametrize("stream", [True, False])
def test_errors_come_with_the_clients_own_classes(client: openai.OpenAI, stream: bool) -> None:
    for model in ("gpt-4o", "rag:nope", "rag:"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model=model, messages=FOUNDER, stream=stream)
        assert caught.value.code == "model_not_found"
    long: list[Any] = [{"role": "user", "content": "x" * 6_000}]
    with pytest.raises(openai.BadRequestError, match="max_question_chars"):
        client.chat.completions.create(model="rag", messages=long, stream=stream)


def test_busy_server_says_when_to_come_again(client: openai.OpenAI, service: Rag) -> None:
    service.answerer.queue = AnswerQueue(max_concurrent=1, max_waiting=0, max_wait_s=0)
    with service.answerer.queue.place(), pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="rag", messages=FOUNDER)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"] == "1"


def test_body_that_is_no_text_is_refused_in_the_clients_own_form(url: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = httpx2.post(f"{url}/embeddings", content=b"\xb1E", headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_body_that_is_too_large_is_refused_in_the_clients_own_form(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="rag", input="x" * 3_000_000)
    assert "max_upload_bytes" in caught.value.message


def test_embeddings_are_those_of_the_collection(client: openai.OpenAI, service: Rag) -> None:
    texts = ["The support rota", "Something else"]
    wanted = service.embedders.get("all-MiniLM-L6-v2").embed(texts)
    for model in ("rag", "rag:default", "all-MiniLM-L6-v2"):
        found = client.embeddings.create(model=model, input=texts)  # the client asks for base64
        assert [item.index for item in found.data] == [0, 1]
        assert np.allclose([item.embedding for item in found.data], wanted, atol=2e-3)
    single = client.embeddings.create(model="rag", input=texts[0], encoding_format="float", dimensions=384)
    assert np.allclose(single.data[0].embedding, wanted[0], atol=2e-3)
    assert single.usage.prompt_tokens == single.usage.total_tokens == 6  # [CLS] the support rot ##a [SEP]


def test_base64_is_float32_little_endian(url: str) -> None:
    body = {"model": "rag", "input": "x"}
    plain, packed = (
        httpx2.post(f"{url}/embeddings", json={**body, "encoding_format": kind}).json()["data"][0]["embedding"]
        for kind in ("float", "base64")
    )
    assert np.allclose(np.frombuffer(base64.b64decode(packed), dtype="<f4"), plain)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"input": ""}, "not empty"),
        ({"input": []}, "not empty"),
        ({"input": ["x", "word " * 600]}, "Text 1 has 602 tokens"),
        ({"input": [1, 2, 3]}, "input"),
        ({"dimensions": 100}, "dimensions must be 384"),
    ],
)
def test_texts_that_cannot_be_embedded_are_refused(client: openai.OpenAI, option: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        client.embeddings.create(**{"model": "rag", "input": "x", **option})


def test_models_are_the_collections(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["rag", "rag:default"]
    assert client.models.retrieve("rag:default").owned_by == "rag"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("rag:nope")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-3-small", input="x")


def test_our_own_generator_speaks_to_these_routes(url: str, service: Rag) -> None:
    server = OpenAIServer(ServerOptions(url=url, model="rag", timeout_s=30, retries=0))
    server.check()
    prompt = build_prompt("Who founded the company?", service.search("Who founded the company?"))
    reply = server.reply(prompt)
    assert reply.model == "rag"
    assert reply.details["finish_reason"] == "stop"
    assert reply.text


def test_service_answers_through_another_one(url: str, settings: Settings) -> None:
    generator = {"generator": f"openai:{url}", "generator_model": "rag", "generator_retries": 0}
    with Rag(settings.model_copy(update=generator)) as asking:
        answer = asking.ask("Who founded the company?", abstain=False)
    assert answer.model == "rag"
    assert answer.confidence_kind == "support"


def test_messages_become_turns() -> None:
    said = [
        ("user", "Who founded the company?"),
        ("assistant", "Maria Costa [1]\n\nSources:\n[1] history"),
        ("user", "When did it move to Porto?"),
        ("assistant", NO_ANSWER),
        ("user", "Hello?"),
        ("user", "Why?"),
    ]
    messages = [ChatMessage(role=role, content=text) for role, text in said]
    question, turns = question_of(messages, max_chars=500)
    assert question == "Why?"
    assert turns == (
        Turn("Who founded the company?", "Maria Costa"),
        Turn("When did the company move to Porto?", ""),
        Turn("Hello?", ""),
    )
    with pytest.raises(InvalidInput, match="last message"):
        question_of(messages[:2], max_chars=500)


@pytest.mark.usefixtures("url")
def test_marks_stand_after_what_was_copied(service: Rag) -> None:
    answer = service.ask("Who keeps the support rota?")
    assert marked(answer) == "Amara Diallo [1]"
    assert content_of(answer).endswith("Sources:\n[1] Support, upload:support.md")
