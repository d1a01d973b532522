"""Reviewing over REST: feedback, the queue, agreement and usage."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.api.review_schemas import Reason
from rag.assemble import Rag
from rag.config import Settings
from rag.store.review_views import REASONS

pytestmark = pytest.mark.on_both


@pytest.fixture
def client(service: Rag, review_log: ModuleType) -> Iterator[TestClient]:
    """A server over the small log."""
    review_log.fill(service.database)
    with TestClient(create_app(service=service)) as client:
        yield client


def test_feedback_says_whether_it_is_a_review_and_which_passage_is_wrong(
    client: TestClient, check_problem: Callable[..., str]
) -> None:
    body = {"rating": -1, "is_review": True, "wrong_passage_id": 1, "user_id": "anna"}
    given = client.post("/v1/answers/8/feedback", json=body)
    assert given.status_code == 201
    assert {name: given.json()[name] for name in body} == body
    (row,) = [row for row in client.get("/v1/answers").json()["answers"] if row["answer_id"] == 8]
    assert (row["is_review"], row["wrong_passage_id"], row["num_reviews"], row["num_thumbs_down"]) == (True, 1, 1, 1)
    refused = client.post("/v1/answers/8/feedback", json={"rating": -1, "wrong_passage_id": 99})
    assert "not read from passage 99" in check_problem(refused, 422, "invalid-input")


def test_queue_goes_page_by_page_until_nothing_is_left(client: TestClient, check_problem: Callable[..., str]) -> None:
    first = client.get("/v1/review-queue", params={"limit": 2}).json()
    assert [(answer["answer_id"], answer["reasons"]) for answer in first["answers"]] == [
        (8, ["thumbs_down", "low_score", "scorers_disagree"]),
        (17, ["low_score", "scorers_disagree"]),
    ]
    second = client.get("/v1/review-queue", params={"cursor": first["next"], "limit": 2}).json()
    assert ([answer["answer_id"] for answer in second["answers"]], second["next"]) == ([10], None)
    assert client.get("/v1/review-queue", params={"collection": "none"}).json()["answers"] == []
    refused = client.get("/v1/review-queue", params={"cursor": "nonsense"})
    assert "cursor" in check_problem(refused, 422, "invalid-input")


def test_reasons_of_the_wire_are_those_of_the_view() -> None:
    assert Reason.__args__ == REASONS  # type: ignore[attr-defined]


def test_agreement_of_reviewers(client: TestClient) -> None:
    (found,) = client.get("/v1/review-agreement").json()["agreements"]
    assert (found["reviewer"], found["other_reviewer"], found["num_answers"]) == ("anna", "ben", 6)
    assert found["kappa"] == pytest.approx(0.25)


def test_usage_of_the_last_days(client: TestClient, check_problem: Callable[..., str]) -> None:
    report = client.get("/v1/usage", params={"days": 7, "until": "2025-06-15"}).json()
    assert [(day["day"], day["num_questions"]) for day in report["days"]] == [
        ("2025-06-09", 2),
        ("2025-06-10", 2),
        ("2025-06-10", 1),
    ]
    assert report["drift"][0]["test"] == "two-proportion z"
    assert client.get("/v1/usage").json()["last"] == datetime.now(UTC).date().isoformat()
    early = client.get("/v1/usage", params={"days": 7, "until": "0001-01-03"})
    assert "calendar" in check_problem(early, 422, "invalid-input")


def test_who_does_not_see_all_documents_sees_no_counts_and_only_their_queue(
    client: TestClient, settings: Settings, check_problem: Callable[..., str]
) -> None:
    with TestClient(create_app(settings.model_copy(update={"access_labels": ("hr",)}))) as other:
        check_problem(other.get("/v1/usage"), 403, "not-allowed")
        assert other.get("/v1/review-queue").json()["answers"] == []
        assert other.get("/v1/review-agreement").json()["agreements"] == []
    assert client.get("/v1/review-queue").json()["answers"]
