"""What the review pages read over REST: the log in other orders, unanswered questions, days in all."""

from collections.abc import Callable
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from rag.assemble import Rag
from rag.store.audit import list_audit_events

pytestmark = pytest.mark.on_both


@pytest.fixture
def client(server: TestClient, service: Rag, review_log: ModuleType) -> TestClient:
    """A server over the small log."""
    review_log.fill(service.database)
    return server


def test_unanswered_questions_go_page_by_page(client: TestClient, check_problem: Callable[..., str]) -> None:
    url = "/v1/unanswered-questions"
    whole = client.get(url).json()
    assert whole["next"] is None
    assert whole["questions"][0]["num_asked"] == 3
    assert whole["questions"][0]["best_text"]
    pages, cursor = [], ""
    while cursor is not None:
        page = client.get(url, params={"limit": 1, "cursor": cursor}).json()
        pages += page["questions"]
        cursor = page["next"]
    assert pages == whole["questions"]
    assert len(pages) > 1
    assert client.get(url, params={"collection": "none"}).json() == {"questions": [], "next": None}
    assert not any(
        one["answered_since"] for one in client.get(url, params={"answered_since": False}).json()["questions"]
    )
    check_problem(client.get(url, params={"cursor": "nonsense"}), 422, "invalid-input")


def test_look_at_what_others_asked_is_written_down(
    service: Rag, closed: Callable[..., TestClient], review_log: ModuleType
) -> None:
    review_log.fill(service.database)
    shown = closed("reviewer", user_id="vera").get("/v1/unanswered-questions").json()["questions"]
    with service.database.read() as session:
        (event,) = list_audit_events(session, user_id="vera")
    assert event.action == "answer.list"
    assert event.details == {"answer_ids": sorted(one["last_answer_id"] for one in shown)}
    assert closed("reader").get("/v1/unanswered-questions").status_code == 403


def test_log_is_sorted_and_narrowed_down(client: TestClient, check_problem: Callable[..., str]) -> None:
    url = "/v1/answers"
    confident = [row["confidence"] for row in client.get(url, params={"sort": "confidence"}).json()["answers"]]
    assert confident == sorted(confident)
    slow = [row["total_ms"] for row in client.get(url, params={"sort": "-total_ms", "limit": 3}).json()["answers"]]
    assert slow == sorted(slow, reverse=True)
    low = client.get(url, params={"score": "faithfulness", "max_score": 0.5}).json()["answers"]
    assert low
    assert all(row["faithfulness"] <= 0.5 for row in low)
    unrated = client.get(url, params={"rated": False}).json()["answers"]
    assert unrated
    assert all(row["num_feedback"] == 0 for row in unrated)
    assert all(row["num_reviews"] for row in client.get(url, params={"reviewed": True}).json()["answers"])
    check_problem(client.get(url, params={"sort": "question"}), 422, "invalid-input")


def test_days_in_all_are_those_of_all_groups(client: TestClient) -> None:
    report = client.get("/v1/usage", params={"days": 7, "until": "2025-06-15"}).json()
    assert [(day["day"], day["num_questions"]) for day in report["in_all"]] == [("2025-06-09", 2), ("2025-06-10", 3)]
    assert report["in_all"][1]["p95_ms"] == 310.0
