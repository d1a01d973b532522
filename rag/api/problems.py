"""Errors as RFC 9457 problem details: one sentence that says what to change, and a request id to look for in the log."""

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rag.api.schemas import Problem
from rag.errors import (
    InvalidInput,
    LimitExceeded,
    ModelError,
    NotFound,
    RagError,
    Unavailable,
)

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 1
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
TOO_LARGE = {"max_upload_bytes", "max_file_bytes", "max_document_chars"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def status_of(error: RagError) -> int:
    """The HTTP status of an error; see the tree in ``rag.errors``."""
    if isinstance(error, LimitExceeded) and error.setting in TOO_LARGE:
        return 413
    for kind, status in ((InvalidInput, 422), (NotFound, 404), (Unavailable, 503), (ModelError, 500)):
        if isinstance(error, kind):
            return status
    return 500


def problem_response(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem document."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=request.state.request_id,
    )
    return JSONResponse(problem.model_dump(), status, headers, media_type="application/problem+json")


def add_problem_handlers(app: FastAPI) -> None:
    """Turn every error into a problem document, and give every response a request id and security headers."""

    @app.exception_handler(RagError)
    def on_rag_error(request: Request, error: RagError) -> Response:
        status = status_of(error)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
        return problem_response(request, status, str(error), headers)

    @app.exception_handler(RequestValidationError)
    def on_validation_error(request: Request, error: RequestValidationError) -> Response:
        faults = [f"{'.'.join(str(part) for part in fault['loc'][1:]) or 'body'}: {fault['msg']}" for fault in error.errors()]
        return problem_response(request, 422, f"The request is not valid: {'; '.join(faults)}.")

    @app.exception_handler(HTTPException)
    def on_http_exception(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        return problem_response(request, error.status_code, f"{error.detail}.", headers)

    @app.middleware("http")
    async def with_request_id(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        try:
            response = await call_next(request)
        except Exception:  # noqa: BLE001 - the outermost edge: the log gets the traceback, the caller an id
            log.exception("request %s failed", request.state.request_id)
            response = problem_response(request, 500, "Something went wrong inside; the log has it under the request id.")
        response.headers["X-Request-ID"] = request.state.request_id
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response
