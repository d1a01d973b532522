"""Traces: an extra, and nothing of it is imported without it."""

import subprocess
import sys

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import rag.api.watching
from rag.api.app import create_app
from rag.api.tracing import tracing_to
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_request_and_steps_of_an_answer_are_spans_without_words(service: Rag, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(rag.api.watching, "open_tracing", lambda _: tracing_to(exporter))
    with TestClient(create_app(service=service)) as server:
        server.post("/v1/documents", files={"file": ("a.txt", b"The rota is kept by Amara Diallo.")})
        question = {"question": "Who keeps the canary rota?"}
        server.post("/v1/answers", json=question, headers={"traceparent": PARENT, "X-Request-ID": "abc-3"})
    spans = {span.name: span for span in exporter.get_finished_spans()}
    request = spans["POST /v1/answers"]
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/answers",
        "http.response.status_code": 200,
        "rag.request_id": "abc-3",
    }
    assert request.parent is not None
    assert f"{request.parent.trace_id:032x}" == PARENT.split("-")[1]
    for step in ("retrieve", "generate", "score", "log"):
        span = spans[f"rag.{step}"]
        assert span.parent is not None
        assert (span.parent.span_id, span.context.trace_id) == (request.context.span_id, request.context.trace_id)
    assert "canary" not in "".join(span.to_json() for span in spans.values())


def test_nothing_of_it_is_imported_unless_it_is_wanted() -> None:
    program = (
        "import sys; from rag.api.app import create_app; from rag.config import Settings; create_app(Settings());"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_missing_extra_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:4318/v1/traces"})
    create_app(wanted).state.watch.close()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", raising=False)
    with pytest.raises(InvalidInput, match=r"grounded-rag\[tracing\]"):
        create_app(wanted)
