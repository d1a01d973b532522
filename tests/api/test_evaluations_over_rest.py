"""Evaluations over REST, and logged answers run again."""

from collections.abc import Callable

from fastapi.testclient import TestClient
from httpx2 import Response

from rag.assemble import Rag
from rag.store.collections import get_or_create_collection
from rag.store.evaluations import QuestionResult, add_results, finish_evaluation, start_evaluation


def _run(service: Rag, f1s: list[float], *, finished: bool = True) -> int:
    with service.database.write() as session:
        collection = get_or_create_collection(session, "default", embedding_model="model")
        run_id = start_evaluation(
            session, file="dev.json", file_sha256="f", collection_id=collection.id, settings={"top_k": 8}
        )
        results = [
            QuestionResult(
                question_id=str(number),
                question="Who?",
                reference_answers=("Elsa",),
                prediction="Elsa",
                exact_match=float(f1 == 1.0),
                f1=f1,
                abstained=False,
                gold_rank=1,
            )
            for number, f1 in enumerate(f1s)
        ]
        add_results(session, run_id, results)
        if finished:
            finish_evaluation(session, run_id, metrics={"f1": sum(f1s) / len(f1s)})
    return run_id


def test_evaluations_are_listed_and_shown(server: TestClient, service: Rag) -> None:
    first, second = _run(service, [1.0]), _run(service, [0.0], finished=False)
    page = server.get("/v1/evaluation-runs", params={"limit": 1}).json()
    assert [run["id"] for run in page["evaluation_runs"]] == [second]
    assert page["evaluation_runs"][0]["metrics"] is None
    rest = server.get("/v1/evaluation-runs", params={"cursor": page["next"]}).json()
    assert [run["id"] for run in rest["evaluation_runs"]] == [first]
    assert rest["next"] is None
    shown = server.get(f"/v1/evaluation-runs/{first}").json()
    assert (shown["file"], shown["metrics"], shown["settings"]) == ("dev.json", {"f1": 1.0}, {"top_k": 8})


def test_two_evaluations_are_compared(server: TestClient, service: Rag) -> None:
    a, b = _run(service, [1.0, 0.5, 0.5]), _run(service, [0.0, 1.0, 0.5])
    compared = server.get("/v1/evaluation-runs/compare", params={"a": a, "b": b, "limit": 1}).json()
    assert (compared["a"]["id"], compared["b"]["id"], compared["num_questions"]) == (a, b, 3)
    assert (compared["num_better"], compared["num_worse"], compared["num_same"]) == (1, 1, 1)
    assert [one["question_id"] for one in compared["worse"]] == ["0"]
    assert {figure["name"] for figure in compared["figures"]} == {"exact_match", "f1", "abstained", "hit_at_1"}
    assert {one["dimension"] for one in compared["slices"]} == {"kind", "collection", "source", "format", "origin"}


def test_what_cannot_be_compared_is_a_problem(
    server: TestClient, service: Rag, check_problem: Callable[..., str]
) -> None:
    a, other, begun = _run(service, [1.0]), _run(service, [1.0, 1.0]), _run(service, [1.0], finished=False)
    url = "/v1/evaluation-runs/compare"
    assert "same questions" in check_problem(server.get(url, params={"a": a, "b": other}), 422, "invalid-input")
    assert "not finished" in check_problem(server.get(url, params={"a": a, "b": begun}), 422, "invalid-input")
    assert "no evaluation 99" in check_problem(server.get(url, params={"a": a, "b": 99}), 404, "not-found")
    assert server.get(url, params={"a": a}).status_code == 422
    check_problem(server.get("/v1/evaluation-runs/99"), 404, "not-found")


def test_logged_answer_is_run_again(filled: TestClient, upload: Callable[..., Response]) -> None:
    answer = filled.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()
    again = filled.post(f"/v1/answers/{answer['id']}/replay").json()
    assert (again["same"], again["same_passages"], again["reasons"]) == (True, True, [])
    assert upload("new.txt", "The support rota of the night shift is kept by Olga Holm.").status_code == 201
    later = filled.post(f"/v1/answers/{answer['id']}/replay").json()
    assert [hit["title"] for hit in later["passages_entered"]] == ["new"]
    assert "The collection has changed since" in later["reasons"][0]
    assert set(later["changed"]) == {"index_change_id"}


def test_answer_that_is_not_there_cannot_be_run_again(server: TestClient, check_problem: Callable[..., str]) -> None:
    assert "no answer 7" in check_problem(server.post("/v1/answers/7/replay"), 404, "not-found")


def test_question_in_another_language_is_noted(filled: TestClient) -> None:
    answer = filled.post("/v1/answers", json={"question": "Wer führt den Dienstplan der Unterstützung?"}).json()
    assert len(answer["notes"]) == 1
    assert "German" in answer["notes"][0]
    assert filled.get(f"/v1/answers/{answer['id']}").json()["notes"] == answer["notes"]
    assert filled.post("/v1/answers", json={"question": "Who keeps the support rota?"}).json()["notes"] == []
