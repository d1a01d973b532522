"""Around every request: its metrics, its line in the log, and its span. Plain ASGI, and outside of everything else."""

import time
from contextlib import nullcontext

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.api.metrics import Metrics, ServiceMetrics
from rag.api.request_logs import log_request
from rag.api.tracing import open_tracing
from rag.assemble import Rag
from rag.config import Settings
from rag.observer import Observer


class Watch:
    """What an application keeps of its work: metrics always, traces where the settings name a place for them."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidInput where traces are wanted and cannot be made."""
        self.metrics = Metrics(max_concurrent_answers=settings.max_concurrent_answers)
        self.tracing = open_tracing(settings)
        self._service_metrics: ServiceMetrics | None = None

    def begin(self, service: Rag) -> None:
        """Be told of the work of a service from now on."""
        self._service_metrics = ServiceMetrics(service)
        self.metrics.registry.register(self._service_metrics)
        for observer in self._observers():
            service.observers.add(observer)

    def end(self, service: Rag) -> None:
        """Be told of it no longer."""
        if self._service_metrics is not None:
            self.metrics.registry.unregister(self._service_metrics)
            self._service_metrics = None
        for observer in self._observers():
            service.observers.remove(observer)

    def close(self) -> None:
        """Send the traces that have not been sent."""
        if self.tracing is not None:
            self.tracing.close()

    def _observers(self) -> list[Observer]:
        return [self.metrics] if self.tracing is None else [self.metrics, self.tracing]


class Watching:
    """Counts, measures and logs each request once its response has gone out."""

    def __init__(self, app: ASGIApp, *, watch: Watch) -> None:
        self._app, self._watch = app, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        metrics, tracing = self._watch.metrics, self._watch.tracing
        span = nullcontext(_describe_nothing) if tracing is None else tracing.request(scope)
        with metrics.in_flight.track_inprogress(), span as describe:
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                route = _template(scope)
                describe(route, status)
                seconds = time.perf_counter() - began
                metrics.request(method=scope["method"], route=route, status=status, seconds=seconds)
                log_request(
                    request_id=scope.get("state", {}).get("request_id", ""),
                    method=scope["method"],
                    route=route,
                    status=status,
                    duration_ms=seconds * 1000,
                )


def _describe_nothing(_route: str | None, _status: int) -> None:
    """Without traces there is nothing to describe."""


def _template(scope: Scope) -> str | None:
    """The path of the route that took the request, with its parameters as names; None where there was none."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path
