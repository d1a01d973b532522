"""Whatever goes wrong, the caller gets one sentence and a request id, and the server goes on."""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import (
    Busy,
    IndexDamaged,
    InvalidInput,
    LimitExceeded,
    ModelError,
    NotFound,
    RagError,
    StoreUnavailable,
    UnreadableDocument,
)
from tests.storage import writing_elsewhere

Check = Callable[..., str]
Upload = Callable[..., Response]
QUESTION = {"question": "Who keeps the support rota?"}


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInput("Wrong."), 422, "invalid-input"),
        (LimitExceeded("Long", setting="max_question_chars"), 422, "limit-exceeded"),
        (LimitExceeded("Large", setting="max_upload_bytes"), 413, "limit-exceeded"),
        (UnreadableDocument("Damaged."), 422, "unreadable-document"),
        (NotFound("Nowhere."), 404, "not-found"),
        (Busy("Later."), 503, "busy"),
        (StoreUnavailable("Locked."), 503, "unavailable"),
        (ModelError("Damaged weights."), 500, "model-error"),
        (IndexDamaged("Damaged index."), 500, "internal-error"),
    ],
)
def test_every_error_of_the_tree_has_its_status_and_keeps_its_sentence(
    server: TestClient,
    service: Rag,
    check_problem: Check,
    monkeypatch: pytest.MonkeyPatch,
    error: RagError,
    status: int,
    kind: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(service.retriever, "search", fail)
    response = server.post("/v1/answers", json=QUESTION)
    assert check_problem(response, status, kind) == str(error)
    assert response.json().get("setting") == getattr(error, "setting", None)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{}", "question is missing"),
        (b"", "the body must be a JSON object, sent with Content-Type: application/json"),
        (b"[]", "the body must be a JSON object, sent with Content-Type: application/json"),
        (
            b'{"question": "x", "topk": 3, "colection": "y"}',
            "topk is not a known field; colection is not a known field",
        ),
        (b'{"question": 5}', "question: input should be a valid string"),
        (b'{"question": "x", "filters": "team=5"}', "filters: input should be a valid dictionary"),
        (
            b'{"question": "x", "top_k": 1.5}',
            "top_k: input should be a valid integer",
        ),
    ],
)
def test_wrong_body_is_a_sentence_that_names_each_field(
    server: TestClient, check_problem: Check, body: bytes, sentence: str
) -> None:
    response = server.post("/v1/answers", content=body, headers={"content-type": "application/json"})
    assert check_problem(response, 422, "invalid-input") == f"The request is not valid: {sentence}."


def test_json_in_a_body_of_another_type_is_refused(server: TestClient, check_problem: Check) -> None:
    response = server.post("/v1/answers", content=b'{"question": "x"}', headers={"content-type": "text/plain"})
    assert "Content-Type: application/json" in check_problem(response, 422, "invalid-input")


def test_many_and_long_unknown_fields_do_not_make_a_long_sentence(server: TestClient, check_problem: Check) -> None:
    body = {"question": "x"} | {f"{number}{'x' * 1000}": 1 for number in range(50)}
    sentence = check_problem(server.post("/v1/answers", json=body), 422, "invalid-input")
    assert sentence.endswith("and 45 more.")
    assert len(sentence) < 600


@pytest.mark.parametrize("body", [b'{"question": "Who', b"[" * 100_000])
def test_what_is_not_json_is_refused(server: TestClient, check_problem: Check, body: bytes) -> None:
    response = server.post("/v1/answers", content=body, headers={"content-type": "application/json"})
    kind = {422: "invalid-input", 400: "malformed-request"}[response.status_code]
    check_problem(response, response.status_code, kind)


@pytest.mark.parametrize(
    ("question", "words"), [('"a\\ud800b"', "surrogate"), ('"a\\u0000b"', "NUL"), ('" \\n\\t "', "empty")]
)
@pytest.mark.parametrize(("path", "field"), [("/v1/answers", "question"), ("/v1/search", "query")])
def test_question_that_cannot_be_stored_is_refused(
    filled: TestClient, check_problem: Check, question: str, words: str, path: str, field: str
) -> None:
    response = filled.post(path, content=f'{{"{field}": {question}}}', headers={"content-type": "application/json"})
    assert words in check_problem(response, 422, "invalid-input")


@pytest.mark.parametrize("path", ["/v1/answers/{}", "/v1/documents/{}", "/v1/documents/1?version={}"])
@pytest.mark.parametrize("number", ["99999999999999999999999", "-1", "0"])
def test_number_that_no_id_can_be_is_refused(filled: TestClient, check_problem: Check, path: str, number: str) -> None:
    response = filled.get(path.format(number))
    check_problem(response, response.status_code, {404: "not-found", 422: "invalid-input"}[response.status_code])


def test_word_in_the_place_of_an_id_is_named(server: TestClient, check_problem: Check) -> None:
    assert "answer_id: input should be a valid integer" in check_problem(
        server.get("/v1/answers/last"), 422, "invalid-input"
    )


def test_wrong_method_names_the_right_ones(server: TestClient, check_problem: Check) -> None:
    response = server.put("/v1/search")
    assert "POST" in check_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("in_pieces", [False, True])
def test_body_larger_than_any_upload_is_not_read_to_its_end(
    server: TestClient, check_problem: Check, in_pieces: bool
) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 100_000

    content = pieces() if in_pieces else b"x" * 2_000_000
    response = server.post("/v1/answers", content=content, headers={"content-type": "application/json"})
    assert "50,000 bytes" in check_problem(response, 413, "limit-exceeded")
    assert response.json()["setting"] == "max_upload_bytes"


def test_long_input_is_not_repeated_in_full(filled: TestClient, upload: Upload, check_problem: Check) -> None:
    long = "x" * 500_000
    assert len(check_problem(upload("x.txt", "words", tags=long), 422, "invalid-input")) < 2_000
    response = filled.post("/v1/search", json={"query": "x", "collection": long})
    assert len(check_problem(response, 404, "not-found")) < 2_000


def test_upload_without_a_file_is_refused(server: TestClient, check_problem: Check) -> None:
    response = server.post("/v1/documents", data={"collection": "x"})
    assert check_problem(response, 422, "invalid-input") == "The request is not valid: file is missing."


@pytest.mark.parametrize("tags", ["team", "=ops", '{"team": 5}', '["team"]', '{"team": "ops"'])
def test_wrong_tags_are_refused_and_nothing_is_stored(
    upload: Upload, server: TestClient, check_problem: Check, tags: str
) -> None:
    check_problem(upload("x.txt", "words", tags=tags), 422, "invalid-input")
    check_problem(server.get("/v1/documents"), 404, "not-found")


def test_locked_database_refuses_every_write_and_still_reads(
    filled: TestClient, upload: Upload, check_problem: Check, settings: Settings
) -> None:
    answer_id = filled.post("/v1/answers", json=QUESTION).json()["id"]
    with writing_elsewhere(settings.resolved_database_url):
        responses = [
            filled.post("/v1/answers", json=QUESTION),
            filled.post(f"/v1/answers/{answer_id}/feedback", json={"rating": 1}),
            upload("other.txt", "Other words."),
            filled.delete("/v1/documents/1"),
        ]
        assert filled.get(f"/v1/answers/{answer_id}").status_code == 200
        assert filled.post("/v1/search", json={"query": "rota"}).status_code == 200
    for response in responses:
        assert "locked" in check_problem(response, 503, "unavailable")
    assert upload("other.txt", "Other words.").status_code == 201


def test_unexpected_error_is_logged_with_its_request_id_and_says_nothing(
    server: TestClient,
    service: Rag,
    check_problem: Check,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret of /etc/passwd")

    monkeypatch.setattr(service.retriever, "search", fail)
    response = server.post("/v1/search", json={"query": "x"}, headers={"X-Request-ID": "my-request.7"})
    detail = check_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert "request id" in detail
    (record,) = [record for record in caplog.records if record.name == "rag.api.edge"]
    assert "my-request.7" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "é", "<script>"])
def test_request_id_that_could_harm_a_log_is_replaced(server: TestClient, given: str) -> None:
    made = {server.get("/healthz", headers={"X-Request-ID": given.encode()}).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    assert given not in made
