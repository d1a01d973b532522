"""Answering with server-sent events (WHATWG HTML, section 9.2), which a thread makes while they are sent."""

import math
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio import from_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from rag.api.workers import Workers, cancel_when_gone
from rag.cancellation import Cancellation
from rag.errors import RagError

MEDIA_TYPE = "text/event-stream"
Emit = Callable[[bytes], None]
Produce = Callable[[Cancellation, Emit], None]
"""Makes the events, in a thread; ``Emit`` sends one."""
Explain = Callable[[RagError], Awaitable[Response]]
"""The response that says what went wrong."""


STREAMED = {
    MEDIA_TYPE: {
        "itemSchema": {
            "type": "object",
            "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
            "required": ["data"],
        }
    }
}
"""What the OpenAPI document says of a response that may be a stream, as FastAPI says it of those that always are."""


def event(name: str | None, data: BaseModel | str) -> bytes:
    """One event with JSON, or a text as it is."""
    text = data if isinstance(data, str) else data.model_dump_json()
    return format_sse_event(event=name, data_str=text)


class EventStream(Response):
    """A stream of events.

    An error before the first event is an answer with a status of its own; a later one is an event of the name
    ``error_event``, and the last. When the caller goes away, the work is cancelled at once.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        request: Request,
        workers: Workers,
        produce: Produce,
        *,
        explain: Explain,
        error_event: str | None,
        keep_alive_s: float,
    ) -> None:
        """``keep_alive_s``: a comment is sent after so many seconds without an event."""
        super().__init__(headers={"X-Accel-Buffering": "no"})  # proxies must not gather what belongs out at once
        del self.headers["content-length"]
        self._request, self._workers, self._produce = request, workers, produce
        self._explain, self._error_event, self._keep_alive_s = explain, error_event, keep_alive_s
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything; ends once the work has ended."""
        cancellation = Cancellation()
        outgoing, incoming = anyio.create_memory_object_stream[bytes](math.inf)
        problems: list[RagError] = []
        async with incoming, anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_up_when_gone, cancellation, tasks.cancel_scope)
            tasks.start_soon(self._work, cancellation, outgoing, problems)
            await self._send_events(incoming, send)
            tasks.cancel_scope.cancel()
        if problems and not cancellation.is_cancelled:
            response = await self._explain(problems[0])
            if not self._started:
                await response(scope, receive, send)
                return
            await self._send(send, event(self._error_event, bytes(response.body).decode()))
        await self._send(send, b"", last=True)

    async def _give_up_when_gone(self, cancellation: Cancellation, scope: anyio.CancelScope) -> None:
        await cancel_when_gone(self._request, cancellation)
        scope.cancel()  # waits for the thread all the same

    async def _work(
        self, cancellation: Cancellation, outgoing: MemoryObjectSendStream[bytes], problems: list[RagError]
    ) -> None:
        def emit(data: bytes) -> None:
            cancellation.check()
            from_thread.run_sync(outgoing.send_nowait, data)

        async with outgoing:
            try:
                await self._workers.run(partial(self._produce, cancellation, emit))
            except RagError as error:
                problems.append(error)

    async def _send_events(self, incoming: MemoryObjectReceiveStream[bytes], send: Send) -> None:
        while True:
            data = KEEPALIVE_COMMENT
            with anyio.move_on_after(self._keep_alive_s):
                try:
                    data = await incoming.receive()
                except anyio.EndOfStream:
                    return
            await self._send(send, data)

    async def _send(self, send: Send, data: bytes, *, last: bool = False) -> None:
        if not self._started:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            self._started = True
        await send({"type": "http.response.body", "body": data, "more_body": not last})
