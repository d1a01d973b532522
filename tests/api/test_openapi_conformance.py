"""What the OpenAPI document promises holds for requests that nobody would write by hand.

schemathesis makes requests from the document, right ones and wrong ones, and compares what comes back with what the
document says of it. The requests are the same in every run.
"""

from collections.abc import Callable, Iterator

import pytest
import schemathesis
from fastapi.testclient import TestClient
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

CONFIG = {
    "seed": 1,
    "continue-on-failure": True,
    "generation": {"max-examples": 12, "deterministic": True, "database": "none", "no-shrink": True},
    # That a filter names no nonsense, or that a file can be read, no schema can say.
    "checks": {"positive_data_acceptance": {"enabled": False}},
    # It follows links from response to request, and the document has none.
    "phases": {"stateful": {"enabled": False}},
}
"""The number of examples is what keeps the whole to about a minute."""


@pytest.mark.slow
def test_responses_are_as_described_and_never_a_500(filled: TestClient, closed: Callable[..., TestClient]) -> None:
    assert filled.post("/v1/answers", json={"question": "Who keeps the support rota?"}).status_code == 200
    assert filled.post("/v1/datasets", json={"name": "first"}).status_code == 201
    administrator = closed("administrator")
    key = {"Authorization": administrator.headers["authorization"]}
    config = SchemathesisConfig.from_dict({**CONFIG, "headers": key})
    schema = schemathesis.openapi.from_asgi("/openapi.json", administrator.app, config=config)
    num_requests, faults = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, FatalError):
            raise event.exception
        if isinstance(event, NonFatalError):
            faults.append(f"{event.label}: {event.value}")
        if isinstance(event, ScenarioFinished):
            num_requests += len(event.recorder.cases)
            faults += _faults(event)
    assert num_requests > 300
    assert not faults, "\n\n".join(dict.fromkeys(faults))


def _faults(scenario: ScenarioFinished) -> Iterator[str]:
    for checks in scenario.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                yield f"{scenario.label}: {failure.title}: {failure.message}\n{check.failure_info.code_sample}"
