"""Datasets over REST: created, listed, shown, compared; and the origins of what is found."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

pytestmark = pytest.mark.on_both

Check = Callable[..., str]
Upload = Callable[..., Response]


def test_dataset_is_created_listed_and_shown(filled: TestClient) -> None:
    response = filled.post("/v1/datasets", json={"name": "June", "note": "as sent out"})
    assert response.status_code == 201
    made = response.json()
    assert (made["collection"], made["name"], made["note"]) == ("default", "June", "as sent out")
    assert (made["num_documents"], made["num_real"], made["num_synthetic"], made["num_erased"]) == (2, 1, 1, 0)
    assert filled.get("/v1/datasets").json()["datasets"] == [made]
    assert filled.get("/v1/datasets", params={"collection": "default"}).json()["datasets"] == [made]
    first = filled.get(f"/v1/datasets/{made['id']}", params={"limit": 1}).json()
    rest = filled.get(f"/v1/datasets/{made['id']}", params={"cursor": first["next"]}).json()
    assert first["dataset"] == rest["dataset"] == made
    assert [(d["source"], d["document_version"], d["origin"]) for d in first["documents"] + rest["documents"]] == [
        ("upload:history.txt", 1, "synthetic"),
        ("upload:support.md", 1, "real"),
    ]
    assert rest["next"] is None


def test_answer_names_its_dataset_until_the_collection_changes(filled: TestClient, upload: Upload) -> None:
    made = filled.post("/v1/datasets", json={"name": "June"}).json()
    during = filled.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    assert upload("other.txt", "Whales are mammals.").status_code == 201
    after = filled.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    logged = filled.get(f"/v1/answers/{during['id']}").json()
    assert (logged["dataset_id"], logged["dataset"]) == (made["id"], "June")
    logged = filled.get(f"/v1/answers/{after['id']}").json()
    assert (logged["dataset_id"], logged["dataset"]) == (None, None)
    assert [row["dataset"] for row in filled.get("/v1/answers").json()["answers"]] == [None, "June"]


def test_difference_names_what_came_went_and_changed(filled: TestClient, upload: Upload) -> None:
    before = filled.post("/v1/datasets", json={"name": "June"}).json()["id"]
    upload("support.md", "# Support\n\nThe rota is kept by Jonas Weber.")
    upload("other.txt", "Whales are mammals.")
    filled.delete("/v1/documents/2")
    after = filled.post("/v1/datasets", json={"name": "July"}).json()["id"]
    found = filled.get(f"/v1/datasets/{before}/diff/{after}").json()
    assert (found["num_added"], found["num_removed"], found["num_changed"]) == (1, 1, 1)
    assert [(d["source"], d["kind"], d["origin_before"], d["origin_after"]) for d in found["differences"]] == [
        ("upload:history.txt", "removed", "synthetic", None),
        ("upload:other.txt", "added", None, "real"),
        ("upload:support.md", "changed", "real", "real"),
    ]
    page = filled.get(f"/v1/datasets/{before}/diff/{after}", params={"limit": 2}).json()
    assert page["differences"] == found["differences"][:2]
    assert page["num_changed"] == 1
    rest = filled.get(f"/v1/datasets/{before}/diff/{after}", params={"cursor": page["next"]}).json()
    assert (rest["differences"], rest["next"]) == (found["differences"][2:], None)
    assert filled.get(f"/v1/datasets/{before}/diff/{before}").json()["differences"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/v1/datasets", {"name": " "}, 422, "needs a name"),
        ("POST", "/v1/datasets", {"name": "x", "colection": "y"}, 422, "colection is not a known field"),
        ("POST", "/v1/datasets", {"name": "x", "collection": "nope"}, 404, "no collection 'nope'"),
        ("GET", "/v1/datasets?collection=nope", None, 404, "no collection 'nope'"),
        ("GET", "/v1/datasets/9", None, 404, "There is no dataset 9"),
        ("GET", "/v1/datasets/9/diff/8", None, 404, "There is no dataset 9"),
        ("GET", "/v1/datasets/9?limit=0", None, 422, "limit"),
    ],
)
def test_wrong_requests_are_problems(
    filled: TestClient, check_problem: Check, method: str, path: str, body: object, status: int, words: str
) -> None:
    kind = "not-found" if status == 404 else "invalid-input"
    assert words in check_problem(filled.request(method, path, json=body), status, kind)


def test_name_that_is_taken_is_refused(filled: TestClient, check_problem: Check) -> None:
    filled.post("/v1/datasets", json={"name": "June"})
    assert "already" in check_problem(filled.post("/v1/datasets", json={"name": "June"}), 422, "invalid-input")


@pytest.mark.parametrize("path", ["/v1/datasets/1", "/v1/datasets"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_nothing_changes_or_deletes_a_dataset(filled: TestClient, method: str, path: str) -> None:
    filled.post("/v1/datasets", json={"name": "June"})
    assert filled.request(method, path, json={"name": "July"}).status_code == 405


def test_hits_and_citations_say_where_they_come_from(filled: TestClient, upload: Upload) -> None:
    upload("copy.txt", "The company was founded in Lisbon in 1987 by Maria Costa. It moved to Porto in 1994.")
    (hit,) = filled.post("/v1/search", json={"query": "founded in Lisbon", "top_k": 1}).json()["hits"]
    assert (hit["origin"], [other["origin"] for other in hit["also_in"]]) == ("synthetic", ["real"])
    answer = filled.post("/v1/answers", json={"question": "Who founded the company?"}).json()
    assert [citation["origin"] for citation in answer["citations"]] == ["synthetic"]
    assert filled.get(f"/v1/answers/{answer['id']}").json()["citations"] == answer["citations"]
