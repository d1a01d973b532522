"""Access labels over REST: every way to a document that is not for the caller is tried, and none leads there."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import NotFound
from rag.records import Caller
from tests.storage import Storage

pytestmark = pytest.mark.on_both

SECRET = "Zebra"
OPEN = "The canteen opens at noon. The canteen is on the ground floor."
HR = f"The canteen budget is kept by {SECRET} Quartz. The canteen costs money."
QUESTION = "Who keeps the canteen budget?"
NOBODY, HR_PERSON = Caller(access_labels=frozenset()), Caller(access_labels=frozenset({"hr"}))


@pytest.fixture
def settings(storage: Storage, tmp_path: Path) -> Settings:
    """A database with an open document and one for hr."""
    settings = Settings(**storage, data_dir=tmp_path / "data")
    _upload_both(settings)
    return settings


@pytest.fixture
def service(settings: Settings) -> Iterator[Rag]:
    with Rag(settings) as opened:
        yield opened


@pytest.fixture
def owner(service: Rag) -> Iterator[TestClient]:
    """A server for whoever holds the database."""
    with TestClient(create_app(service=service)) as client:
        yield client


@pytest.fixture
def nobody(settings: Settings) -> Iterator[TestClient]:
    """A server for people without labels, over the same database."""
    with TestClient(create_app(settings.model_copy(update={"access_labels": ()}))) as client:
        yield client


@pytest.fixture
def person(settings: Settings) -> Iterator[TestClient]:
    """A server for people who hold hr."""
    with TestClient(create_app(settings.model_copy(update={"access_labels": ("hr", "sales")}))) as client:
        yield client


def _upload(client: TestClient, name: str, words: str, *, access_labels: list[str] | None = None) -> int:
    data = {"access_labels": access_labels or []}
    response = client.post("/v1/documents", files={"file": (name, words.encode())}, data=data)
    assert response.status_code == 201, response.text
    document_id: int = response.json()["documents"][0]["id"]
    return document_id


def _upload_both(settings: Settings) -> None:
    with Rag(settings) as service, TestClient(create_app(service=service)) as client:
        _upload(client, "open.txt", OPEN)
        _upload(client, "budget.txt", HR, access_labels=["hr"])


def _ask(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/answers", json={"question": QUESTION, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_who_holds_the_label_finds_asks_and_reads(person: TestClient) -> None:
    hits = person.post("/v1/search", json={"query": QUESTION}).json()["hits"]
    assert SECRET in hits[0]["text"]
    answer = _ask(person)
    assert SECRET in json.dumps(answer["passages"])
    document = person.get(f"/v1/documents/{hits[0]['document_id']}").json()
    assert document["access_labels"] == ["hr"]
    assert person.get(f"/v1/answers/{answer['id']}").status_code == 200


def test_no_search_finds_what_is_not_for_the_caller(nobody: TestClient) -> None:
    asked_for: list[dict[str, Any]] = [
        {},
        {"title": "budget"},
        {"$or": [{"title": "budget"}, {"title": "open"}]},
        {"$not": {"title": "open"}},
        {"access_labels": "hr"},
        {"access_labels": {"$in": ["hr"]}},
        {"version": 1},
        {"title": {"$ne": "open"}},
    ]
    for filters, mode in itertools.product(asked_for, ("hybrid", "keyword", "vector")):
        body = {"query": f"{SECRET} Quartz budget", "mode": mode, "top_k": 100, "filters": filters}
        response = nobody.post("/v1/search", json=body)
        assert response.status_code == 200, (filters, mode)
        assert SECRET not in response.text, (filters, mode)
        assert "budget" not in response.text, (filters, mode)


def test_parameters_that_would_give_more_are_unknown(nobody: TestClient) -> None:
    for more in ({"access_labels": ["hr"]}, {"caller": {"access_labels": ["hr"]}}, {"labels": ["hr"]}):
        assert nobody.post("/v1/search", json={"query": SECRET, **more}).status_code == 422
        assert nobody.post("/v1/answers", json={"question": SECRET, **more}).status_code == 422
    found = nobody.get("/v1/documents", params={"access_labels": "hr", "include_deleted": "true"})
    assert SECRET not in found.text
    assert "budget" not in found.text


def test_no_answer_quotes_or_names_it(nobody: TestClient) -> None:
    answer = _ask(nobody)
    assert SECRET not in json.dumps(answer)
    assert "budget.txt" not in json.dumps(answer)


def test_document_and_its_old_versions_are_not_there(owner: TestClient, nobody: TestClient) -> None:
    hidden = next(d["id"] for d in owner.get("/v1/documents").json()["documents"] if d["access_labels"])
    for path in (f"/v1/documents/{hidden}", f"/v1/documents/{hidden}?version=1"):
        response = nobody.get(path)
        assert response.status_code == 404
        # The same words as for a document that never was.
        missing = nobody.get(path.replace(str(hidden), "999"))
        assert response.json()["detail"] == missing.json()["detail"].replace("999", str(hidden))
    assert nobody.delete(f"/v1/documents/{hidden}").status_code == 404
    assert owner.get(f"/v1/documents/{hidden}").json()["deleted_at"] is None


def test_lists_and_counts_leave_it_out(owner: TestClient, nobody: TestClient) -> None:
    assert len(owner.get("/v1/documents").json()["documents"]) == 2
    assert [d["title"] for d in nobody.get("/v1/documents").json()["documents"]] == ["open"]
    (all_of_it,) = owner.get("/v1/collections").json()["collections"]
    (seen,) = nobody.get("/v1/collections").json()["collections"]
    assert (all_of_it["num_documents"], seen["num_documents"]) == (2, 1)
    assert (all_of_it["num_passages"], seen["num_passages"]) == (2, 1)


def test_logged_answers_of_those_who_saw_more_are_not_there(
    owner: TestClient, person: TestClient, nobody: TestClient
) -> None:
    by_owner, by_person, by_nobody = (_ask(client)["id"] for client in (owner, person, nobody))

    def listed(client: TestClient) -> set[int]:
        return {answer["answer_id"] for answer in client.get("/v1/answers").json()["answers"]}

    assert listed(owner) == {by_owner, by_person, by_nobody}
    assert listed(person) == {by_person, by_nobody}
    assert listed(nobody) == {by_nobody}
    assert nobody.get(f"/v1/answers/{by_person}").status_code == 404
    assert nobody.post(f"/v1/answers/{by_person}/feedback", json={"rating": 1}).status_code == 404
    assert nobody.post(f"/v1/answers/{by_nobody}/feedback", json={"rating": 1}).status_code == 201


def test_answer_is_gone_once_a_document_that_it_was_read_from_is_closed(owner: TestClient, nobody: TestClient) -> None:
    answer_id = _ask(nobody)["id"]
    _upload(owner, "open.txt", OPEN, access_labels=["sales"])
    assert nobody.get(f"/v1/answers/{answer_id}").status_code == 404
    assert nobody.post("/v1/search", json={"query": "canteen noon"}).json()["hits"] == []


def test_only_who_may_see_a_document_may_erase_it(owner: TestClient, person: TestClient, service: Rag) -> None:
    hidden = next(d["id"] for d in owner.get("/v1/documents").json()["documents"] if d["access_labels"])
    answer = service.ask(QUESTION, caller=HR_PERSON)
    with pytest.raises(NotFound, match=f"There is no document {hidden}"):
        service.erase_document(hidden, reason="request 12", caller=NOBODY)
    assert person.get(f"/v1/documents/{hidden}").status_code == 200
    assert service.erase_document(hidden, reason="request 12", caller=HR_PERSON) == []
    assert "has been erased" in owner.get(f"/v1/documents/{hidden}").json()["detail"]
    assert hidden not in {hit.document_id for hit in service.search(QUESTION)}
    assert person.get(f"/v1/answers/{answer.id}").json()["citations"], "the log says what people were told"


def test_logged_answer_is_not_explained_or_replayed_for_others(service: Rag) -> None:
    answer = service.ask(QUESTION, caller=HR_PERSON)
    assert service.replay(answer.id, caller=HR_PERSON).same
    with pytest.raises(NotFound):
        service.replay(answer.id, caller=NOBODY)
    mine = service.ask(QUESTION, caller=NOBODY)
    # Asked again by somebody who sees more, it is still searched with the eyes of who asked.
    assert service.replay(mine.id).same_passages


def test_copy_of_a_hidden_document_is_found_by_who_may_see_the_copy(owner: TestClient, nobody: TestClient) -> None:
    copy = _upload(owner, "copy.txt", HR)
    hits = nobody.post("/v1/search", json={"query": QUESTION}).json()["hits"]
    assert hits[0]["document_id"] == copy
    assert "budget.txt" not in json.dumps(hits)
    assert hits[0]["near_duplicate_of"] is None


def test_copy_with_another_label_does_not_open_the_original(owner: TestClient, nobody: TestClient) -> None:
    _upload(owner, "copy.txt", OPEN, access_labels=["sales"])
    documents = nobody.get("/v1/documents").json()["documents"]
    assert [d["title"] for d in documents] == ["open"]
    (hit,) = nobody.post("/v1/search", json={"query": "canteen noon"}).json()["hits"]
    assert hit["also_in"] == []


def test_changed_label_holds_for_the_next_search(owner: TestClient, nobody: TestClient) -> None:
    _upload(owner, "budget.txt", HR, access_labels=[])
    # No label named: it stays as it is.
    assert SECRET not in nobody.post("/v1/search", json={"query": QUESTION}).text
    with_none = owner.post("/v1/documents", files={"file": ("budget.txt", HR.encode())}, data={"open_to_all": "true"})
    assert with_none.json()["documents"][0]["access_labels"] == []
    assert SECRET in nobody.post("/v1/search", json={"query": QUESTION}).text


def test_upload_cannot_replace_a_hidden_document_or_use_a_label_not_held(
    owner: TestClient, nobody: TestClient, person: TestClient
) -> None:
    response = nobody.post("/v1/documents", files={"file": ("budget.txt", b"Mine now.")})
    assert response.status_code == 422
    assert "choose another name" in response.json()["detail"]
    assert SECRET in owner.post("/v1/search", json={"query": QUESTION}).text
    response = person.post("/v1/documents", files={"file": ("x.txt", b"Words.")}, data={"access_labels": ["board"]})
    assert response.status_code == 422
    assert "board" in response.json()["detail"]


def test_datasets_are_for_those_who_see_all_documents(owner: TestClient, nobody: TestClient) -> None:
    dataset_id = owner.post("/v1/datasets", json={"name": "v1"}).json()["id"]
    for path in ("/v1/datasets", f"/v1/datasets/{dataset_id}", f"/v1/datasets/{dataset_id}/diff/{dataset_id}"):
        response = nobody.get(path)
        assert response.status_code == 403
        assert "budget" not in response.text
    assert nobody.post("/v1/datasets", json={"name": "v2"}).status_code == 403
