"""The gate: no request comes to a route before it is known to be for this server, who sends it, and that they may.

Plain ASGI and before everything else, so that nobody's body is read who may not send one.
"""

import logging
from functools import partial

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from rag.api.callers import Callers, Identified
from rag.api.hosts import HostCheck
from rag.api.permissions import RouteTable, require_role
from rag.api.rate_limits import RateLimiter
from rag.api.refusals import refusal
from rag.api.service import ServiceKeeper
from rag.config import Settings
from rag.errors import RagError, RateLimited
from rag.store.api_keys import ApiKey, is_use_due, note_use

log = logging.getLogger(__name__)

NUM_THREADS = 8
"""Threads of its own, so that who is refused need not wait behind those who are being answered."""


class Gate:
    """Lets a request pass, with its ``Caller`` in its state, or refuses it."""

    def __init__(self, app: ASGIApp, *, settings: Settings, keeper: ServiceKeeper, limiter: RateLimiter) -> None:
        self._app, self._keeper, self._limiter = app, keeper, limiter
        self._hosts, self._callers, self._routes = HostCheck(settings), Callers(settings, keeper), RouteTable()
        self._threads = CapacityLimiter(NUM_THREADS)
        self._being_noted: set[int] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with why not."""
        if scope["type"] == "websocket":  # no route takes one, and a later one must not go around the gate
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            identified = await self._admit(request)
        except RagError as error:
            response = await refusal(request, error)
            await response(scope, receive, send)
            return
        if identified is not None:
            request.state.caller = identified.caller
        await self._app(scope, receive, send)
        if identified is not None and identified.key is not None:
            await self._note_use(identified.key)

    async def _admit(self, request: Request) -> Identified | None:
        """Who asks; None where that does not matter."""
        self._hosts.check(request)
        app = request.scope["app"]
        assert isinstance(app, FastAPI)
        needed = self._routes.needed(request.scope, app.routes)
        if needed is None or needed == "everyone":
            return None
        if self._callers.needs_database(request):
            identified = await to_thread.run_sync(self._callers.of, request, limiter=self._threads)
        else:
            identified = self._callers.of(request)
        require_role(identified.caller, needed)
        key = identified.key
        if key is not None and key.rate_limit_per_minute is not None:
            take = partial(self._limiter.take, f"key {key.id}", per_minute=key.rate_limit_per_minute)
            wait_s = await to_thread.run_sync(take, limiter=self._threads)
            if wait_s > 0:
                raise RateLimited(
                    f"Your key allows {key.rate_limit_per_minute} requests a minute; wait {wait_s:.1f} s.",
                    retry_after_s=wait_s,
                )
        return identified

    async def _note_use(self, key: ApiKey) -> None:
        """Write down that a key was used, after the answer has gone out: nobody waits for it, or fails with it."""
        if not is_use_due(key) or key.id in self._being_noted:
            return
        self._being_noted.add(key.id)
        try:
            await to_thread.run_sync(self._write_use, key.id, limiter=self._threads)
        except RagError as error:
            log.warning("The use of key %d cannot be written down: %s", key.id, error)
        finally:
            self._being_noted.discard(key.id)

    def _write_use(self, key_id: int) -> None:
        with self._keeper.open().database.write() as session:
            note_use(session, key_id)
