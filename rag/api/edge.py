"""What holds for every request and every response: an id, safe headers, a limit on the body, no traceback.

Plain ASGI, because errors and headers must be seen as they go out, and bodies as they come in.
"""

import logging
import re
import uuid

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api import request_logs
from rag.api.problems import INTERNAL_ERROR, BodyTooLarge, problem_response

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""Ids that are taken over: nothing that could forge a line of the log."""

BYTES_BESIDE_FILE = 1_000_000
"""What a body may hold beside an uploaded file: form fields, or all of a question, whose own limit says more."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Pages and scripts change with the next version, and are asked for again each time: most often a 304.
    "Cache-Control": "no-cache",
}
API_HEADERS = {"Cache-Control": "no-store"}


class Edge:
    """Gives every response a request id and safe headers; the one place where an unexpected error is caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_logs.REQUEST_ID.set(request.state.request_id)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request.state.request_id
                if request.url.path.startswith(("/v1/", "/session")):
                    headers.update(API_HEADERS)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if started:
                raise
            log.exception("Request %s failed: %s %r", request.state.request_id, request.method, request.url.path)
            detail = "Something went wrong inside; the server's log says what, under this request id."
            response = problem_response(request, INTERNAL_ERROR, detail)
            await response(scope, receive, send_with_headers)
        finally:
            request_logs.REQUEST_ID.reset(token)


class BodyLimit:
    """Refuses a request whose body is larger than an upload may be, while it is coming in."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self._app, self._max_upload_bytes = app, max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        num_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._max_upload_bytes + BYTES_BESIDE_FILE:
                raise BodyTooLarge(self._max_upload_bytes)
            return message

        await self._app(scope, receive_within_limit if scope["type"] == "http" else receive, send)
