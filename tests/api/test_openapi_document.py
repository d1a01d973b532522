"""The OpenAPI document says what the routes really do."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema_rs import Draft202012Validator

from rag.api.dataset_schemas import DatasetDifferenceResponse, DatasetRequest, DatasetResponse
from rag.api.key_schemas import ApiKeyRequest
from rag.api.openai_schemas import ChatCompletionRequest, EmbeddingsRequest
from rag.api.schemas import FeedbackRequest, Request, Response
from rag.api.search_schemas import QuestionRequest, SearchRequest


@pytest.fixture
def document(server: TestClient) -> dict[str, Any]:
    described: dict[str, Any] = server.get("/openapi.json").json()
    return described


def test_every_reference_leads_to_a_schema(document: dict[str, Any]) -> None:
    references = {part.split('"')[0] for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]}
    assert "Problem" in references
    assert references <= set(document["components"]["schemas"])


def test_every_route_of_v1_tells_its_problems_in_their_own_media_type(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if operation.get("tags") == ["openai"]:
                continue
            errors = {status: told for status, told in operation["responses"].items() if status >= "400"}
            if path.startswith("/v1/"):
                assert {"500", "503"} <= set(errors)
                assert all(list(told["content"]) == ["application/problem+json"] for told in errors.values())


def test_routes_of_the_openai_protocol_tell_errors_in_its_form(document: dict[str, Any]) -> None:
    operations = [o for methods in document["paths"].values() for o in methods.values() if o.get("tags") == ["openai"]]
    assert len(operations) == 4
    for operation in operations:
        errors = {status: told for status, told in operation["responses"].items() if status >= "400"}
        assert {"4XX", "500", "503"} <= set(errors)
        assert "422" not in errors
        for told in errors.values():
            assert told["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorResponse")


def test_answers_may_come_as_a_stream(document: dict[str, Any]) -> None:
    for path in ("/v1/answers", "/v1/chat/completions"):
        content = document["paths"][path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/event-stream"}


def test_operations_have_ids_and_summaries_of_their_own(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    for key in ("operationId", "summary", "description"):
        assert len({operation[key] for operation in operations}) == len(operations)


@pytest.mark.parametrize(
    "body",
    [
        QuestionRequest,
        SearchRequest,
        FeedbackRequest,
        ChatCompletionRequest,
        EmbeddingsRequest,
        DatasetRequest,
        DatasetResponse,
        DatasetDifferenceResponse,
        ApiKeyRequest,
    ],
)
def test_examples_are_valid(body: type[Request | Response]) -> None:
    examples = body.model_json_schema()["examples"]
    assert examples
    for example in examples:
        body.model_validate(example)


def test_answer_has_the_fields_that_are_promised(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    promised = {"id", "question", "collection", "answer", "abstained", "confidence", "citations", "passages", "scores"}
    promised |= {"timings_ms", "model", "created_at", "confidence_kind", "spans", "unsupported", "notes"}
    promised |= {"standalone_question", "conversation_id", "previous_answer_id", "based_on_answer_id", "masked"}
    assert promised == set(schemas["AnswerResponse"]["properties"])
    assert {"id", "text", "origin", "scores", "also_in"} <= set(schemas["HitResponse"]["required"])
    assert "origin" in schemas["CitationResponse"]["required"]


def _operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    paths = document["paths"].items()
    return [(f"{method.upper()} {path}", told) for path, methods in paths for method, told in methods.items()]


def test_every_route_shows_an_example_of_what_it_takes_and_returns(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def has_example(content: dict[str, Any]) -> bool:
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        return bool(content.keys() & {"example", "examples"} or schemas.get(name, {}).get("examples"))

    for name, operation in _operations(document):
        contents = operation.get("requestBody", {}).get("content", {})
        assert all(map(has_example, contents.values())), f"{name} needs an example of its body"
        for status, response in operation["responses"].items():
            assert all(map(has_example, response.get("content", {}).values())), f"{name} needs an example of {status}"


def test_examples_of_responses_are_what_their_schemas_say(document: dict[str, Any]) -> None:
    num_checked = 0
    for name, operation in _operations(document):
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                if "example" in content and "schema" in content:
                    schema = {**content["schema"], "components": document["components"]}
                    faults = list(Draft202012Validator(schema).iter_errors(content["example"]))
                    assert not faults, f"{name} {status}: {faults[0].message}"
                    num_checked += 1
    assert num_checked > 50


def test_wrong_method_is_told_all_that_the_path_takes(server: TestClient) -> None:
    response = server.put("/v1/documents/1")
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET")
