"""What the OpenAPI document says beside what FastAPI reads from the routes: problems, roles and examples."""

from collections.abc import Mapping
from typing import Any

from rag.api import permissions
from rag.api.examples import REQUESTS, RESPONSES
from rag.api.examples.library import PROBLEM
from rag.api.problems import MEDIA_TYPE, Problem, problems

BODY_PROBLEMS = ("400", "413")
"""What any request with a body may be told: that it cannot be read, or is too large."""


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add what FastAPI does not know to an OpenAPI document, in place; returns it.

    These are the schema of problems, which no route returns by itself, who may ask, the two problems of any body, and
    examples.
    """
    document["components"]["schemas"].setdefault("Problem", Problem.model_json_schema())
    permissions.describe(document, problems(401, 403, 421, 429, 503))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _add_body_problems(operation)
            name = f"{method.upper()} {path}"
            _add_examples(operation, RESPONSES.get(name, {}), path)
            for described in operation.get("requestBody", {}).get("content", {}).values():
                if name in REQUESTS:
                    described["example"] = REQUESTS[name]
    return document


def _add_body_problems(operation: dict[str, Any]) -> None:
    if "requestBody" in operation:
        responses, known = operation["responses"], problems(*(int(status) for status in BODY_PROBLEMS))
        for status in BODY_PROBLEMS:
            if "4XX" not in responses:  # routes of the OpenAI protocol say so of all errors of a request
                responses.setdefault(status, known[int(status)])


def _add_examples(operation: dict[str, Any], examples: Mapping[str, Any], path: str) -> None:
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if MEDIA_TYPE in content:
            problem = {**PROBLEM, "status": int(status), "title": response["description"], "instance": path}
            response["content"] = {MEDIA_TYPE: {**content[MEDIA_TYPE], "example": problem}}
            continue
        for media_type, described in content.items():
            example = examples.get(f"{status} {media_type}", examples.get(status))
            if example is not None:
                described["example"] = example
