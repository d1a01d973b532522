"""Traces with OpenTelemetry: a span for each request, and within it one for each step of an answer.

It is an extra (``grounded-rag[tracing]``), and nothing of it is imported without ``otlp_endpoint``.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import Scope

from rag.config import Settings
from rag.errors import InvalidInput
from rag.observer import Observer, Step

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

Describe = Callable[[str | None, int], None]


class Tracing(Observer):
    """Spans of one application. No question, answer or document is ever in one."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.propagate import extract

        self._provider, self._extract = provider, extract
        self._tracer = provider.get_tracer("rag")

    def step(self, name: Step) -> AbstractContextManager[object]:
        """The span of a step, within that of the request."""
        return self._tracer.start_as_current_span(f"rag.{name}")

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Describe]:
        """The span of a request, within the one that its header ``traceparent`` names, if it has one.

        Gives what says, once it is known, which route it took and how it ended.
        """
        parent = self._extract(dict(Headers(scope=scope)))
        with self._tracer.start_as_current_span(scope["method"], context=parent) as span:

            def describe(route: str | None, status: int) -> None:
                span.update_name(f"{scope['method']} {route or 'unmatched'}")
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.route", route or "unmatched")
                span.set_attribute("http.response.status_code", status)
                span.set_attribute("rag.request_id", scope.get("state", {}).get("request_id", ""))

            yield describe

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()


def open_tracing(settings: Settings) -> Tracing | None:
    """Traces that go where the settings say; None where they name nothing.

    Raises:
        InvalidInput: the extra is not installed.
    """
    if not settings.otlp_endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"otlp_endpoint needs the Python package {error.name}; install grounded-rag[tracing]."
        ) from error
    return tracing_to(OTLPSpanExporter(endpoint=settings.otlp_endpoint))


def tracing_to(exporter: "SpanExporter") -> Tracing:
    """Traces that go to an exporter, some at a time, in a thread of their own."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "grounded-rag"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)
