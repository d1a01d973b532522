"""How many requests may be in work at once: one beyond that is refused at once, before it takes a thread.

Requests that wait for a thread cannot even be told that there is none. Health, metrics and pages are always let in, and
so are streams of events, which wait most of the time and take no thread meanwhile.
"""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from rag.api.problems import KINDS, RETRY_AFTER_SECONDS, problem_response
from rag.errors import Busy


class Admission:
    """Lets so many requests in. Plain ASGI, in the event loop alone, hence without a lock."""

    def __init__(self, app: ASGIApp, *, max_concurrent_requests: int) -> None:
        self._app, self._max_concurrent_requests = app, max_concurrent_requests
        self._num_in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or not _is_work(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._num_in_work >= self._max_concurrent_requests:
            detail = "Too many requests are in work; try again in a moment (setting: max_concurrent_requests)."
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS[Busy])}
            response = problem_response(Request(scope), KINDS[Busy], detail, headers=headers)
            await response(scope, receive, send)
            return
        self._num_in_work += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._num_in_work -= 1


def _is_work(path: str) -> bool:
    return path.startswith("/v1/") and not path.endswith("/events")
