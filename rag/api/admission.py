"""How many requests may be in work at once: one beyond that is refused at once, before it takes a thread.

Requests that wait for a thread cannot even be told that there is none. Health, metrics and pages are always let in. A
stream of events gives its place back when it begins: it takes no thread from then on, and has limits of its own
(``rag.api.workers``).
"""

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.event_stream import MEDIA_TYPE
from rag.api.refusals import refusal
from rag.errors import Busy


class Admission:
    """Lets so many requests in. Plain ASGI, in the event loop alone, hence without a lock."""

    def __init__(self, app: ASGIApp, *, max_concurrent_requests: int) -> None:
        self._app, self._max_concurrent_requests = app, max_concurrent_requests
        self._num_in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        if self._is_full:
            error = Busy("Too many requests are in work; try again in a moment (setting: max_concurrent_requests).")
            response = await refusal(Request(scope), error)
            await response(scope, receive, send)
            return
        self._num_in_work += 1
        holds_place = True

        async def send_on(message: Message) -> None:
            nonlocal holds_place
            if message["type"] == "http.response.start" and holds_place and _is_stream(message):
                holds_place = False
                self._num_in_work -= 1
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            self._num_in_work -= holds_place

    @property
    def _is_full(self) -> bool:
        return self._num_in_work >= self._max_concurrent_requests


def _is_stream(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith(MEDIA_TYPE)
