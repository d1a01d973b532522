"""The REST API over the real service: real models, a real database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from rag.api.app import create_app
from rag.api.permissions import PERMISSIONS
from rag.config import Settings
from tests.storage import Storage, writing_elsewhere

pytestmark = pytest.mark.on_both

ROTA = "# Support\n\nThe support rota is kept by Amara Diallo. Tickets are answered within four hours.\n"


@pytest.fixture
def settings(storage: Storage, tmp_path: Path) -> Settings:
    return Settings(**storage, data_dir=tmp_path / "data", max_upload_bytes=200_000)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def _upload(client: TestClient, words: str = ROTA, name: str = "support.md", **form: str) -> int:
    response = client.post("/v1/documents", files={"file": (name, words.encode())}, data=form)
    assert response.status_code == 201, response.text
    document_id: int = response.json()["documents"][0]["id"]
    return document_id


def _is_problem(response, status: int, words: str) -> None:  # noqa: ANN001
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert words in problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text


def test_upload_ask_check_rate_and_review(client: TestClient) -> None:
    _upload(client)
    answer = client.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    assert answer["answer"] == "Amara Diallo"
    assert not answer["abstained"]
    (citation,) = answer["citations"]
    document = client.get(
        f"/v1/documents/{citation['document_id']}", params={"version": citation["document_version"]}
    ).json()
    assert document["text"][citation["start"] : citation["end"]] == citation["quote"] == "Amara Diallo"
    scores = answer["passages"][0]["scores"]
    assert set(scores) == {"keyword", "vector", "fused", "relevance", "keyword_rank", "vector_rank"}
    assert (scores["keyword_rank"], scores["vector_rank"]) == (1, 1)

    rated = client.post(f"/v1/answers/{answer['id']}/feedback", json={"rating": -1, "comment": "who?"})
    assert rated.status_code == 201
    logged = client.get(f"/v1/answers/{answer['id']}").json()
    assert logged["feedback"][0]["comment"] == "who?"
    assert logged["citations"] == answer["citations"]
    (row,) = client.get("/v1/answers", params={"rating": -1, "contains": "ROTA"}).json()["answers"]
    assert (row["answer_id"], row["first_quote"]) == (answer["id"], "Amara Diallo")
    assert client.get("/v1/answers", params={"abstained": True}).json()["answers"] == []


def test_old_citation_verifies_after_a_new_version_and_nothing_is_found_after_a_delete(client: TestClient) -> None:
    document_id = _upload(client)
    answer = client.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    assert _upload(client, ROTA.replace("Amara Diallo", "Jonas Weber")) == document_id
    again = client.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    assert again["answer"] == "Jonas Weber"
    (citation,) = answer["citations"]
    old = client.get(f"/v1/documents/{document_id}", params={"version": citation["document_version"]}).json()
    assert old["text"][citation["start"] : citation["end"]] == "Amara Diallo"
    assert client.delete(f"/v1/documents/{document_id}").status_code == 204
    assert client.post("/v1/search", json={"query": "support rota"}).json()["hits"] == []
    gone = client.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    assert (gone["abstained"], gone["answer"], gone["passages"]) == (True, "", [])
    _is_problem(client.delete(f"/v1/documents/{document_id}"), 404, "deleted already")


def test_search_filters_and_modes(client: TestClient) -> None:
    _upload(client, tags='{"team": "ops"}')
    _upload(client, "Whales are mammals.", "whales.txt", origin="synthetic")
    for mode in ("hybrid", "keyword", "vector"):
        body = {"query": "support rota", "mode": mode, "filters": {"team": "ops"}}
        (hit,) = client.post("/v1/search", json=body).json()["hits"]
        assert hit["source"] == "upload:support.md"
    (hit,) = client.post("/v1/search", json={"query": "rota", "filters": {"origin": "synthetic"}}).json()["hits"]
    assert (hit["title"], hit["origin"]) == ("whales", "synthetic")
    (collection,) = client.get("/v1/collections").json()["collections"]
    assert (collection["num_documents"], collection["num_real"], collection["num_synthetic"]) == (2, 1, 1)


def test_lists_are_paged(client: TestClient) -> None:
    for number in range(3):
        _upload(client, f"Document number {number}.", f"{number}.txt")
        client.post("/v1/answers", json={"question": f"What is number {number}?"})
    first = client.get("/v1/documents", params={"limit": 2}).json()
    rest = client.get("/v1/documents", params={"limit": 2, "cursor": first["next"]}).json()
    assert [d["source"] for d in first["documents"] + rest["documents"]] == [f"upload:{n}.txt" for n in range(3)]
    assert rest["next"] is None
    newest = client.get("/v1/answers", params={"limit": 2}).json()
    older = client.get("/v1/answers", params={"limit": 2, "cursor": newest["next"]}).json()
    assert [row["answer_id"] for row in newest["answers"] + older["answers"]] == [3, 2, 1]
    (collection,) = client.get("/v1/collections").json()["collections"]
    assert (collection["name"], collection["num_documents"]) == ("default", 3)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"question": ""}, 422, "empty"),
        ({"question": "why " * 25_000}, 422, "max_question_chars"),
        ({"question": "Who?", "collection": "nope"}, 404, "nope"),
        ({"question": "Who?", "topk": 3}, 422, "topk"),
        ({"question": "Who?", "top_k": 0}, 422, "top_k"),
        ({"question": "Who?", "top_k": 100_000}, 422, "max_top_k"),
        ({"question": 5}, 422, "question"),
        ({}, 422, "question"),
    ],
)
def test_bad_question_is_a_problem_that_says_what_to_change(
    client: TestClient, body: dict[str, object], status: int, words: str
) -> None:
    _upload(client)
    _is_problem(client.post("/v1/answers", json=body), status, words)


def test_bad_json_unknown_route_and_wrong_method_are_problems(client: TestClient) -> None:
    response = client.post("/v1/answers", content=b"{", headers={"content-type": "application/json"})
    _is_problem(response, 422, "JSON")
    _is_problem(client.get("/v1/nothing"), 404, "Not Found")
    _is_problem(client.put("/v1/answers"), 405, "Method Not Allowed")
    _is_problem(client.get("/v1/answers/99"), 404, "no answer 99")
    _is_problem(client.post("/v1/answers/99/feedback", json={"rating": 1}), 404, "no answer 99")
    _is_problem(client.post("/v1/answers/99/feedback", json={"rating": 5}), 422, "rating")
    _is_problem(client.get("/v1/documents/99"), 404, "no document 99")


@pytest.mark.parametrize(
    ("name", "data", "form", "status", "words"),
    [
        ("big.txt", b"x" * 200_001, {}, 413, "max_upload_bytes"),
        ("program.exe", b"MZ", {}, 422, ".exe"),
        ("broken.pdf", b"%PDF-1.7 nothing", {}, 422, "damaged"),
        ("empty.txt", b"", {}, 422, "empty"),
        ("x.txt", b"words", {"tags": "[]"}, 422, "JSON object"),
        ("x.txt", b"words", {"tags": "{"}, 422, "not JSON"),
        ("x.txt", b"words", {"origin": "made up"}, 422, "origin"),
    ],
)
def test_upload_that_cannot_be_taken_is_a_problem(
    client: TestClient, name: str, data: bytes, form: dict[str, str], status: int, words: str
) -> None:
    _is_problem(client.post("/v1/documents", files={"file": (name, data)}, data=form), status, words)


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "C:\\windows\\passwd.txt", "/passwd.txt"])
def test_uploaded_name_is_never_a_path(client: TestClient, name: str) -> None:
    document = client.get(f"/v1/documents/{_upload(client, 'Some words.', name)}").json()
    assert document["source"] == "upload:passwd.txt"


def test_locked_database_is_503_and_all_is_well_afterwards(settings: Settings, client: TestClient) -> None:
    _upload(client)
    with writing_elsewhere(settings.resolved_database_url):
        response = client.post("/v1/answers", json={"question": "Who keeps the support rota?"})
    _is_problem(response, 503, "locked")
    assert response.headers["retry-after"]
    assert client.post("/v1/answers", json={"question": "Who keeps the support rota?"}).status_code == 200


def test_unexpected_error_shows_nothing_of_the_inside(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.app.state.keeper.get().retriever, "search", fail)  # type: ignore[attr-defined]
    response = client.post("/v1/search", json={"query": "x"}, headers={"x-request-id": "abc-1"})
    _is_problem(response, 500, "request id")
    assert response.headers["x-request-id"] == "abc-1"
    assert "secret" not in response.text


def test_health_says_what_is_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "up"}
    assert client.get("/readyz").json() == {"database": "ready", "models": "ready", "index": "ready"}
    with client.app.state.keeper.get().database.write() as session:  # type: ignore[attr-defined]
        session.execute(text("DELETE FROM alembic_version"))
    broken = client.get("/readyz")
    assert broken.status_code == 503
    assert "rag db upgrade" in broken.json()["database"]


def test_openapi_describes_every_route(client: TestClient) -> None:
    pages = {"/", "/documents/{document_id}", "/documents", "/review", "/evaluation", "/sign-in", "/static", "/docs"}
    pages |= {"/swagger", "/openapi.json"}
    paths = client.get("/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert described == {name for name in PERMISSIONS if name.split(" ")[1] not in pages}


@pytest.mark.parametrize("path", ["/", "/docs", "/static/ask.js", "/static/ask.css", "/swagger/swagger-ui-bundle.js"])
def test_pages_are_served_with_a_policy_that_lets_no_other_host_in(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


def test_own_pages_name_no_other_host() -> None:
    static = Path(__file__).parents[2] / "rag/web/static"
    for path in static.iterdir():
        words = path.read_text()
        assert "https://" not in words
        assert "innerHTML" not in words


def test_a_request_says_how_to_search(client: TestClient) -> None:
    _upload(client)
    _upload(client, "The company was founded in Lisbon.", "history.txt")
    how = {"fusion": "rrf", "weights": {"keyword": 3, "vector": 1}, "candidates": 5, "rerank": True}
    hits = client.post("/v1/search", json={"query": "support rota", **how}).json()["hits"]
    assert hits[0]["scores"]["fused"] == pytest.approx(1.0)
    assert hits[1]["scores"]["fused"] == pytest.approx(0.25 * 6 / 7)  # second in the vector leg alone
    assert hits[0]["scores"]["relevance"] > hits[1]["scores"]["relevance"]
    answer = client.post("/v1/answers", json={"question": "Who keeps the support rota?", **how}).json()
    settings = client.get(f"/v1/answers/{answer['id']}").json()["settings"]
    asked = {"fusion": "rrf", "keyword_weight": 0.75, "candidates": 5, "rerank": True, "mode": "hybrid"}
    assert {name: settings[name] for name in asked} == asked


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"fusion": "max"}, "fusion"),
        ({"weights": {"keyword": 0, "vector": 0}}, "above 0"),
        ({"weights": {"keyword": -1, "vector": 1}}, "weights.keyword"),
        ({"weights": {"keyword": 1}}, "weights.vector"),
        ({"candidates": 0}, "at least 1"),
        ({"candidates": 5_000}, "max_candidates"),
    ],
)
def test_a_search_that_cannot_be_made_is_a_problem(client: TestClient, how: dict[str, object], words: str) -> None:
    _upload(client)
    _is_problem(client.post("/v1/search", json={"query": "rota", **how}), 422, words)
    _is_problem(client.post("/v1/answers", json={"question": "rota?", **how}), 422, words)
