"""Errors of the OpenAI-compatible routes, in the form that their clients read."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from rag.api.openai_schemas import ErrorDetail, ErrorResponse
from rag.api.problems import BodyTooLarge, describe_faults, error_headers, note_failure
from rag.errors import (
    Cancelled,
    InvalidInput,
    LimitExceeded,
    Misdirected,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    RagError,
    RateLimited,
    TimeLimitExceeded,
    Unavailable,
)

# The first that an error is an instance of counts: status, type, code.
KINDS: dict[type[RagError], tuple[int, str, str | None]] = {
    LimitExceeded: (400, "invalid_request_error", "limit_exceeded"),
    InvalidInput: (400, "invalid_request_error", None),
    NotAuthenticated: (401, "invalid_request_error", "invalid_api_key"),
    NotAllowed: (403, "permission_error", None),
    Misdirected: (421, "invalid_request_error", "misdirected"),
    RateLimited: (429, "rate_limit_error", "rate_limit_exceeded"),
    TimeLimitExceeded: (504, "server_error", "time_limit_exceeded"),
    NotFound: (404, "invalid_request_error", "model_not_found"),
    Unavailable: (503, "server_error", "unavailable"),
    Cancelled: (499, "server_error", "cancelled"),
    RagError: (500, "server_error", None),
}
TITLES: dict[int | str, str] = {
    400: "The request cannot be answered as it is",
    404: "There is no such model",
    "4XX": "Another error of the request",
    500: "Internal error",
    503: "Not available now",
}


def speaks_openai(path: str) -> bool:
    """Whether a path is one of those that clients of the OpenAI protocol call."""
    return path in ("/v1/chat/completions", "/v1/embeddings", "/v1/models") or path.startswith("/v1/models/")


class OpenAIRoute(APIRoute):
    """A route whose errors have that form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route with its errors caught."""
        handle = super().get_route_handler()

        async def handle_with_errors(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                field = ".".join(str(part) for part in error.errors()[0]["loc"][1:2]) or None
                detail = ErrorDetail(message=describe_faults(error), type="invalid_request_error", param=field)
                return JSONResponse(ErrorResponse(error=detail).model_dump(), 400)
            except BodyTooLarge as error:
                return await openai_error(request, error.error)
            except HTTPException as error:  # a body that is no text
                return await openai_error(request, InvalidInput(str(error.detail)))
            except RagError as error:
                return await openai_error(request, error)

        return handle_with_errors


async def openai_error(request: Request, error: RagError) -> JSONResponse:
    """The response that says what went wrong."""
    status, kind, code = next(KINDS[known] for known in KINDS if isinstance(error, known))
    note_failure(request, error, status)
    detail = ErrorDetail(message=str(error), type=kind, code=code)
    return JSONResponse(ErrorResponse(error=detail).model_dump(), status, error_headers(error))


def openai_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of a route's errors."""
    # With 4XX, because FastAPI would otherwise add the status 422, which is never sent here.
    told: tuple[int | str, ...] = (*statuses, "4XX", 500, 503)
    return {status: {"description": TITLES[status], "model": ErrorResponse} for status in told}
