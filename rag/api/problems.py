"""Errors as RFC 9457 problem details: one sentence that says what to change, and a request id to find in the log."""

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from rag.api.schemas import Response
from rag.errors import (
    Busy,
    Cancelled,
    Conflict,
    GeneratorUnavailable,
    InvalidInput,
    LimitExceeded,
    Misdirected,
    ModelError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    RagError,
    RateLimited,
    TimeLimitExceeded,
    Unavailable,
    UnreadableDocument,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = {Busy: 1, Conflict: 1, Unavailable: 5}
"""An answer takes a fraction of a second; a database that is locked or starting takes longer."""

MAX_FAULTS = 5
MAX_NAME_CHARS = 60
MAX_DETAIL_CHARS = 1_000
"""Sentences repeat what was sent, which may be long."""


class Kind(NamedTuple):
    """A kind of problem: ``name`` ends its type URI, which is for programs to compare and leads nowhere."""

    status: int
    name: str
    title: str


# The first that an error is an instance of counts.
KINDS: Mapping[type[RagError], Kind] = {
    LimitExceeded: Kind(422, "limit-exceeded", "A limit was crossed"),
    UnreadableDocument: Kind(422, "unreadable-document", "The file cannot be read"),
    InvalidInput: Kind(422, "invalid-input", "The input is not valid"),
    NotAuthenticated: Kind(401, "not-authenticated", "An API key is needed"),
    NotAllowed: Kind(403, "not-allowed", "Not allowed"),
    NotFound: Kind(404, "not-found", "Not found"),
    Misdirected: Kind(421, "misdirected", "This server has another name"),
    RateLimited: Kind(429, "rate-limited", "Too many requests"),
    TimeLimitExceeded: Kind(504, "time-limit-exceeded", "The answer took too long"),
    Conflict: Kind(409, "conflict", "The same request is being worked on"),
    Busy: Kind(503, "busy", "Too busy"),
    GeneratorUnavailable: Kind(503, "generator-unavailable", "The model does not answer"),
    Unavailable: Kind(503, "unavailable", "Not available now"),
    Cancelled: Kind(499, "cancelled", "The caller has gone away"),
    ModelError: Kind(500, "model-error", "A model cannot be used"),
    RagError: Kind(500, "internal-error", "Internal error"),
}
TOO_LARGE = Kind(413, "limit-exceeded", "The upload is too large")
INVALID_INPUT, NOT_FOUND, INTERNAL_ERROR = KINDS[InvalidInput], KINDS[NotFound], KINDS[RagError]
HTTP_KINDS = {
    400: Kind(400, "malformed-request", "The request cannot be read"),
    404: NOT_FOUND,
    405: Kind(405, "method-not-allowed", "Method not allowed"),
}


class Problem(Response):
    """Why a request failed (RFC 9457): ``detail`` is one sentence that names what to change."""

    type: str = Field(description="What kind of problem it is, for programs.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="As in the header X-Request-ID and in the server's log.")
    setting: str | None = Field(None, description="The setting that holds the limit, where one was crossed.")


class BodyTooLarge(HTTPException):
    """A request body is larger than any upload may be.

    An ``HTTPException``, because FastAPI lets only these through from the reading of a body.
    """

    def __init__(self, num_bytes: int) -> None:
        self.error = LimitExceeded(
            f"The request holds more than {num_bytes:,} bytes; send less or raise the limit", setting="max_upload_bytes"
        )
        super().__init__(TOO_LARGE.status, str(self.error))


def problem_response(
    request: Request, kind: Kind, detail: str, *, setting: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem document."""
    if len(detail) > MAX_DETAIL_CHARS:
        detail = f"{detail[:MAX_DETAIL_CHARS]}…"
    problem = Problem(
        type=f"urn:rag:problem:{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        request_id=request.state.request_id,
        setting=setting,
    )
    return JSONResponse(problem.model_dump(exclude_none=True), kind.status, headers, media_type=MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of a route's errors."""
    titles = {kind.status: kind.title for kind in (*KINDS.values(), *HTTP_KINDS.values(), TOO_LARGE, INVALID_INPUT)}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": titles[status], "content": content} for status in (*statuses, 500)}


def add_problem_handlers(app: FastAPI) -> None:
    """Turn every error that is raised below a route into a problem document."""
    app.add_exception_handler(RagError, on_rag_error)
    app.add_exception_handler(BodyTooLarge, _on_body_too_large)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def error_response(request: Request, error: RagError) -> JSONResponse:
    """The problem document of an error."""
    kind = next(KINDS[known] for known in KINDS if isinstance(error, known))
    setting = error.setting if isinstance(error, LimitExceeded) else None
    if setting == "max_upload_bytes":
        kind = TOO_LARGE
    note_failure(request, error, kind.status)
    return problem_response(request, kind, str(error), setting=setting, headers=error_headers(error))


def note_failure(request: Request, error: RagError, status: int) -> None:
    """Tell the server's log of a fault of the server; that it is busy is none."""
    if status >= 500 and not isinstance(error, Busy):
        log.error("Request %s: %s", request.state.request_id, error)


def error_headers(error: RagError) -> dict[str, str]:
    """What a response says beside an error: who may ask, and when to come again."""
    if isinstance(error, NotAuthenticated):  # as RFC 6750 has it
        return {"WWW-Authenticate": 'Bearer realm="rag"' + (', error="invalid_token"' if error.is_refused else "")}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(math.ceil(error.retry_after_s))}
    seconds = next((RETRY_AFTER_SECONDS[known] for known in RETRY_AFTER_SECONDS if isinstance(error, known)), None)
    return {} if seconds is None else {"Retry-After": str(seconds)}


async def on_rag_error(request: Request, error: Exception) -> JSONResponse:
    """The same, for who awaits it."""
    assert isinstance(error, RagError)
    return error_response(request, error)


async def _on_body_too_large(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BodyTooLarge)
    return await on_rag_error(request, error.error)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, INVALID_INPUT, describe_faults(error))


def describe_faults(error: RequestValidationError) -> str:
    """What is wrong with a request, in one sentence."""
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        where = f"{faults[0]['ctx']['error']} at character {faults[0]['loc'][-1]}"
        return f"The request's body is not JSON: {where}."
    told = [_fault(fault) for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        told.append(f"and {len(faults) - MAX_FAULTS} more")
    return f"The request is not valid: {'; '.join(told)}."


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path = request.url.path
    kind = HTTP_KINDS.get(error.status_code, Kind(error.status_code, "http-error", "The request failed"))
    detail = f"{str(error.detail).rstrip('.')}."
    if error.status_code == 404:
        detail = f"Not Found: there is nothing at {path}; /docs lists what there is."
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _allowed_methods(request) or headers.get("Allow", "GET")
        detail = f"Method Not Allowed: {path} takes {headers['Allow']}, not {request.method}."
    return problem_response(request, kind, detail, headers=headers)


def _allowed_methods(request: Request) -> str:
    """All methods of the path, as the header Allow lists them (RFC 9110, 10.2.1); the router knows one route's only."""
    paths: Mapping[str, Mapping[str, Any]] = request.app.openapi()["paths"]
    found = [methods for template, methods in paths.items() if compile_path(template)[0].fullmatch(request.url.path)]
    return ", ".join(sorted({method.upper() for methods in found for method in methods}))


def _fault(fault: Mapping[str, Any]) -> str:
    """One fault in words. The first part of ``loc`` only says where the field was looked for: body, query or path."""
    name = ".".join(str(part) for part in fault["loc"][1:])[:MAX_NAME_CHARS]
    if not name and fault["type"] != "value_error":
        return "the body must be a JSON object, sent with Content-Type: application/json"
    if fault["type"] == "missing":
        return f"{name} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{name} is not a known field"
    message = str(fault["msg"])
    told = f"{message[:1].lower()}{message[1:]}"
    return f"{name}: {told}" if name else told
