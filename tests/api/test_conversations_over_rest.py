"""Conversations and prompt chains over REST, and who may see them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.assemble import Rag
from rag.config import Settings

Check = Callable[..., str]
SECRET = "Zebra Quartz"
OPEN = "The canteen opens at noon. The canteen is on the ground floor."
HR = f"The canteen budget is kept by {SECRET}. {SECRET} sits in room nine."


def _ask(client: TestClient, question: str, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/answers", json={"question": question, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_follow_up_is_understood_and_both_forms_are_logged(filled: TestClient) -> None:
    first = _ask(filled, "Who founded the company?", conversation=True)
    conversation_id = first["conversation_id"]
    assert (first["answer"], first["previous_answer_id"], first["standalone_question"]) == ("Maria Costa", None, None)
    second = _ask(filled, "And when did it move to Porto?", conversation_id=conversation_id)
    assert (second["answer"], second["previous_answer_id"]) == ("1994", first["id"])
    assert second["question"] == "And when did it move to Porto?"
    assert second["standalone_question"] == "When did the company move to Porto?"
    third = _ask(filled, "Who keeps the support rota?", conversation_id=conversation_id)
    assert (third["answer"], third["standalone_question"]) == ("Amara Diallo", None)

    shown = filled.get(f"/v1/conversations/{conversation_id}").json()
    assert [answer["id"] for answer in shown["answers"]] == [first["id"], second["id"], third["id"]]
    (listed,) = filled.get("/v1/conversations").json()["conversations"]
    assert listed == {name: value for name, value in shown.items() if name != "answers"}
    assert (listed["first_question"], listed["num_answers"]) == ("Who founded the company?", 3)
    logged = filled.get(f"/v1/answers/{second['id']}").json()
    assert logged["standalone_question"] == second["standalone_question"]


def test_follow_up_of_a_follow_up_is_understood_by_its_standalone_form(filled: TestClient) -> None:
    conversation_id = _ask(filled, "Who founded the company?", conversation=True)["conversation_id"]
    _ask(filled, "When did it move to Porto?", conversation_id=conversation_id)
    third = _ask(filled, "And where was it founded?", conversation_id=conversation_id)
    assert (third["standalone_question"], third["answer"]) == ("Where was the company founded?", "Lisbon")


def test_logged_follow_up_is_replayed_and_explained_in_the_form_that_was_read(filled: TestClient, service: Rag) -> None:
    conversation_id = _ask(filled, "Who founded the company?", conversation=True)["conversation_id"]
    second = _ask(filled, "And when did it move to Porto?", conversation_id=conversation_id)
    replayed = service.replay(second["id"])
    assert (replayed.same, replayed.answer, dict(replayed.changed)) == (True, "1994", {})


def test_prompt_chain_is_read_back_in_order(filled: TestClient, check_problem: Check) -> None:
    first = _ask(filled, "Who founded the company?")
    second = _ask(filled, "When did it move to Porto?", based_on_answer_id=first["id"])
    third = _ask(filled, "Who keeps the support rota?", based_on_answer_id=second["id"])
    assert (second["based_on_answer_id"], second["conversation_id"]) == (first["id"], None)
    assert second["standalone_question"] == "When did the company move to Porto?"
    chain = filled.get(f"/v1/answers/{third['id']}/chain").json()["answers"]
    assert [answer["id"] for answer in chain] == [first["id"], second["id"], third["id"]]
    assert chain[0] == first
    assert check_problem(filled.get("/v1/answers/999/chain"), 404, "not-found") == "There is no answer 999."


def test_what_is_not_there_or_does_not_go_together_is_refused(filled: TestClient, check_problem: Check) -> None:
    asked = {"question": "Who?"}
    for more, status, kind, words in (
        ({"conversation_id": 99}, 404, "not-found", "There is no conversation 99."),
        ({"based_on_answer_id": 99}, 404, "not-found", "There is no answer 99."),
        ({"conversation_id": 1, "conversation": True}, 422, "invalid-input", "leave it out with conversation_id"),
    ):
        assert words in check_problem(filled.post("/v1/answers", json={**asked, **more}), status, kind)
    assert filled.get("/v1/conversations").json() == {"conversations": [], "next": None}


def test_deleted_conversation_is_gone_and_its_answers_stay(filled: TestClient, check_problem: Check) -> None:
    answer = _ask(filled, "Who founded the company?", conversation=True)
    path = f"/v1/conversations/{answer['conversation_id']}"
    assert filled.delete(path).status_code == 204
    check_problem(filled.get(path), 404, "not-found")
    check_problem(filled.delete(path), 404, "not-found")
    assert filled.get(f"/v1/answers/{answer['id']}").json()["conversation_id"] is None


def test_pages(filled: TestClient) -> None:
    ids = [_ask(filled, "Who founded the company?", conversation=True)["conversation_id"] for _ in range(3)]
    page = filled.get("/v1/conversations", params={"limit": 2}).json()
    assert [one["id"] for one in page["conversations"]] == [ids[2], ids[1]]
    rest = filled.get("/v1/conversations", params={"limit": 2, "cursor": page["next"]}).json()
    assert ([one["id"] for one in rest["conversations"]], rest["next"]) == ([ids[0]], None)


@pytest.fixture
def nobody(settings: Settings, server: TestClient) -> Iterator[TestClient]:
    """A server for people without labels, over a database with an open document and one for hr."""
    for name, words, labels in (("open.txt", OPEN, []), ("budget.txt", HR, ["hr"])):
        sent = server.post("/v1/documents", files={"file": (name, words.encode())}, data={"access_labels": labels})
        assert sent.status_code == 201
    with TestClient(create_app(settings.model_copy(update={"access_labels": ()}))) as client:
        yield client


def test_nobody_gets_into_a_conversation_of_somebody_who_sees_more(
    server: TestClient, nobody: TestClient, check_problem: Check
) -> None:
    first = _ask(server, "Who keeps the canteen budget?", conversation=True)
    assert first["answer"] == SECRET
    conversation_id = first["conversation_id"]
    assert nobody.get("/v1/conversations").json()["conversations"] == []
    missing = "There is no conversation"
    assert missing in check_problem(nobody.get(f"/v1/conversations/{conversation_id}"), 404, "not-found")
    assert missing in check_problem(nobody.delete(f"/v1/conversations/{conversation_id}"), 404, "not-found")
    asked = {"question": "Where does she sit?", "conversation_id": conversation_id}
    assert missing in check_problem(nobody.post("/v1/answers", json=asked), 404, "not-found")
    based = {"question": "Where does she sit?", "based_on_answer_id": first["id"]}
    assert "There is no answer" in check_problem(nobody.post("/v1/answers", json=based), 404, "not-found")
    assert nobody.get(f"/v1/answers/{first['id']}/chain").status_code == 404
    assert server.get(f"/v1/conversations/{conversation_id}").json()["num_answers"] == 1


def test_conversation_is_closed_once_somebody_who_sees_more_goes_on_with_it(
    server: TestClient, nobody: TestClient
) -> None:
    conversation_id = _ask(nobody, "When does the canteen open?", conversation=True)["conversation_id"]
    _ask(nobody, "Where is it?", conversation_id=conversation_id)
    assert nobody.get(f"/v1/conversations/{conversation_id}").json()["num_answers"] == 2
    _ask(server, "Who keeps the canteen budget?", conversation_id=conversation_id)
    assert nobody.get(f"/v1/conversations/{conversation_id}").status_code == 404
    assert SECRET not in json.dumps(nobody.get("/v1/answers").json())


def test_words_of_a_document_that_was_closed_meanwhile_are_not_in_later_questions(
    server: TestClient, nobody: TestClient
) -> None:
    form = {"files": {"file": ("budget.txt", HR.encode())}}
    assert server.post("/v1/documents", **form, data={"open_to_all": "true"}).status_code == 201
    first = _ask(nobody, "Who keeps the canteen budget?", conversation=True)
    second = _ask(nobody, "Where is she?", conversation_id=first["conversation_id"])
    assert second["standalone_question"] == f"Where is {SECRET}?"
    assert server.post("/v1/documents", **form, data={"access_labels": ["hr"]}).status_code == 201
    assert nobody.get(f"/v1/answers/{second['id']}").status_code == 404
    assert SECRET not in json.dumps(nobody.get("/v1/answers").json())
    assert nobody.get("/v1/conversations").json()["conversations"] == []
