"""Keys over REST: without one nothing is told, and with one exactly what it opens."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from starlette.websockets import WebSocketDisconnect

from rag.api.app import create_app
from rag.api.openai_errors import speaks_openai
from rag.api.permissions import PERMISSIONS
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import Busy, TimeLimitExceeded
from rag.records import OWNER
from rag.store.api_keys import NewApiKey, create_api_key, list_api_keys, revoke_api_key
from rag.store.audit import AuditEvent, list_audit_events
from tests.storage import writing_elsewhere

Check = Callable[..., str]
Closed = Callable[..., TestClient]
QUESTION = {"question": "Who keeps the support rota?"}
SECRET = "Zebra Quartz"


@pytest.fixture
def world(closed: Closed) -> TestClient:
    """A server for keys only, with an administrator, over two collections, one of which holds a document for hr."""
    administrator = closed("administrator", user_id="root")
    _upload(administrator, "support.md", "The support rota is kept by Amara Diallo.")
    _upload(administrator, "budget.txt", f"The budget is kept by {SECRET}.", access_labels=["hr"])
    _upload(
        administrator, "board.txt", "The board meets in the support room. The rota is on its wall.", collection="board"
    )
    return administrator


def _upload(client: TestClient, name: str, words: str, **fields: Any) -> Response:
    return client.post("/v1/documents", files={"file": (name, words.encode())}, data=fields)


def _ask(client: TestClient, **body: Any) -> int:
    response = client.post("/v1/answers", json={**QUESTION, **body})
    assert response.status_code == 200, response.text
    answer_id: int = response.json()["id"]
    return answer_id


def _events(service: Rag) -> list[AuditEvent]:
    with service.database.read() as session:
        return list_audit_events(session)


@pytest.mark.usefixtures("world")
def test_without_a_key_nothing_but_the_pages_is_open(closed: Closed, check_problem: Check) -> None:
    stranger = closed(None)
    for name, access in PERMISSIONS.items():
        method, path = name.split(" ")
        response = stranger.request(method, re.sub(r"{\w+}", "1", path))
        if access == "everyone":
            assert response.status_code != 401, name
            continue
        if speaks_openai(path):
            assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
        else:
            assert "rag keys create" in check_problem(response, 401, "not-authenticated")
        assert response.headers["www-authenticate"] == 'Bearer realm="rag"'
        assert "support" not in response.text


def test_body_of_who_may_not_send_one_is_not_read(closed: Closed) -> None:
    sent = 0

    def pieces() -> Any:
        nonlocal sent
        for _ in range(5):
            sent += 1
            yield b"not json"

    response = closed(None).post("/v1/answers", content=pieces())
    assert response.status_code == 401
    assert closed("reader").post("/v1/documents", content=b"nothing like a form").status_code == 403


@pytest.mark.parametrize(
    "shown",
    [
        {"Authorization": "Bearer rag_1_wrong"},
        {"Authorization": "Bearer sk-anything"},
        {"X-API-Key": "wrong"},
        {"Cookie": "rag_session=wrong"},
    ],
)
@pytest.mark.usefixtures("world")
def test_wrong_key_is_refused_with_the_challenge_that_says_so(
    closed: Closed, check_problem: Check, shown: dict[str, str]
) -> None:
    response = closed(None).get("/v1/collections", headers=shown)
    check_problem(response, 401, "not-authenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="rag", error="invalid_token"'


def test_other_schemes_are_no_key(closed: Closed) -> None:
    response = closed(None).get("/v1/collections", headers={"Authorization": "Basic cmFnOnJhZw=="})
    assert response.status_code == 401
    assert "invalid_token" not in response.headers["www-authenticate"]


@pytest.mark.usefixtures("world")
def test_both_headers_carry_a_key_and_its_use_is_noted(closed: Closed, service: Rag) -> None:
    reader = closed("reader", user_id="ben")
    words = reader.headers["Authorization"].removeprefix("Bearer ")
    stranger = closed(None)
    for headers in ({"Authorization": f"bearer  {words}"}, {"X-API-Key": words}):
        assert stranger.get("/session", headers=headers).json()["user_id"] == "ben"
    with service.database.read() as session:
        (key,) = list_api_keys(session, user_id="ben")
    assert key.last_used_at is not None


def test_revoked_key_is_refused_from_the_next_request_on(closed: Closed, service: Rag, check_problem: Check) -> None:
    reader = closed("reader")
    assert reader.get("/v1/collections").status_code == 200
    with service.database.write() as session:
        revoke_api_key(session, list_api_keys(session)[0].id, caller=OWNER)
    assert "revoked" in check_problem(reader.get("/v1/collections"), 401, "not-authenticated")


@pytest.mark.usefixtures("world")
def test_each_role_may_do_just_what_the_table_says(closed: Closed, check_problem: Check) -> None:
    order = ("reader", "contributor", "reviewer", "administrator")
    for role in order:
        client = closed(role)
        for name, access in PERMISSIONS.items():
            method, path = name.split(" ")
            if access == "everyone":
                continue
            response = client.request(method, re.sub(r"{\w+}", "999", path))
            if order.index(role) < order.index(access):
                assert f"needs the role {access}" in check_problem(response, 403, "not-allowed")
            else:
                assert response.status_code in (200, 400, 404, 422), (role, name, response.text)


@pytest.mark.usefixtures("world")
def test_key_for_some_collections_knows_of_no_other(closed: Closed, world: TestClient, check_problem: Check) -> None:
    dataset_ids = [
        world.post("/v1/datasets", json={"name": "v1", "collection": collection}).json()["id"]
        for collection in ("default", "board")
    ]
    document_id = world.get("/v1/documents", params={"collection": "board"}).json()["documents"][0]["id"]
    answer_id = _ask(world, collection="board")
    kept = closed("reviewer", collections=["default"])
    assert [c["name"] for c in kept.get("/v1/collections").json()["collections"]] == ["default"]
    assert [d["id"] for d in kept.get("/v1/datasets").json()["datasets"]] == [dataset_ids[0]]
    assert answer_id not in {a["answer_id"] for a in kept.get("/v1/answers").json()["answers"]}
    refused = [
        kept.post("/v1/search", json={"query": "board", "collection": "board"}),
        kept.post("/v1/answers", json={**QUESTION, "collection": "board"}),
        kept.get("/v1/documents", params={"collection": "board"}),
        kept.get("/v1/datasets", params={"collection": "board"}),
        kept.get(f"/v1/documents/{document_id}"),
        kept.delete(f"/v1/documents/{document_id}"),
        kept.get(f"/v1/answers/{answer_id}"),
        kept.post(f"/v1/answers/{answer_id}/feedback", json={"rating": 1}),
        kept.get(f"/v1/datasets/{dataset_ids[1]}"),
        kept.get(f"/v1/datasets/{dataset_ids[0]}/diff/{dataset_ids[1]}"),
    ]
    for response in refused:
        sentence = check_problem(response, 404, "not-found")
        assert "meets" not in sentence
        assert not sentence.endswith("board.")
    # The same words as for a collection that never was.
    missing = kept.get("/v1/documents", params={"collection": "nope"}).json()["detail"]
    assert missing.replace("nope", "board") == refused[2].json()["detail"]
    sentence = check_problem(_upload(kept, "x.txt", "Words.", collection="board"), 403, "not-allowed")
    assert sentence.endswith("it opens: default.")
    assert _upload(kept, "x.txt", "Words.").status_code == 201
    assert kept.get(f"/v1/datasets/{dataset_ids[0]}").status_code == 200


@pytest.mark.usefixtures("world")
def test_key_holds_its_labels_and_no_others(closed: Closed) -> None:
    asked = {"query": f"budget {SECRET}"}
    for labels, is_seen in ((None, True), (["hr"], True), (["sales"], False), ([], False)):
        found = closed("reader", access_labels=labels).post("/v1/search", json=asked)
        assert (SECRET in found.text) is is_seen, labels


@pytest.mark.usefixtures("world")
def test_labels_of_the_server_hold_for_every_key(service: Rag, settings: Settings) -> None:
    narrow = settings.model_copy(update={"host": "0.0.0.0", "access_labels": ("sales",)})
    app = create_app(narrow, service=service)
    for labels in (None, ("hr",), ("hr", "sales")):
        with service.database.write() as session:
            _, words = create_api_key(session, NewApiKey(user_id="x", access_labels=labels), caller=OWNER)
        client = TestClient(app, headers={"Authorization": f"Bearer {words}"})
        assert SECRET not in client.post("/v1/search", json={"query": SECRET}).text
        assert client.get("/session").json()["access_labels"] == ([] if labels == ("hr",) else ["sales"])


@pytest.mark.parametrize("role", ["reader", "contributor"])
@pytest.mark.usefixtures("world")
def test_reader_sees_own_answers_only(closed: Closed, service: Rag, check_problem: Check, role: str) -> None:
    amara, ben = closed(role, user_id="amara"), closed(role, user_id="ben")
    hers, his, nobodys = _ask(amara), _ask(ben), service.ask(QUESTION["question"]).id
    again = closed("reader", user_id="amara")  # another key of hers
    for client in (amara, again):
        assert [a["answer_id"] for a in client.get("/v1/answers").json()["answers"]] == [hers]
        assert client.get("/v1/answers", params={"user_id": "ben"}).json()["answers"] == []
        assert client.get(f"/v1/answers/{hers}").json()["user_id"] == "amara"
        for other in (his, nobodys):
            hidden = check_problem(client.get(f"/v1/answers/{other}"), 404, "not-found")
            missing = check_problem(client.get("/v1/answers/99999"), 404, "not-found")
            assert missing.replace("99999", str(other)) == hidden
            rated = client.post(f"/v1/answers/{other}/feedback", json={"rating": 1})
            check_problem(rated, 404, "not-found")
    assert [event.action for event in _events(service) if event.action.startswith("answer")] == []


@pytest.mark.usefixtures("world")
def test_reviewer_sees_everybodys_answers_and_that_is_audited(closed: Closed, service: Rag) -> None:
    amara, ben, reviewer = (
        closed("reader", user_id="amara"),
        closed("reader", user_id="ben"),
        closed("reviewer", user_id="rita"),
    )
    hers, his, own = _ask(amara), _ask(ben), _ask(reviewer)
    assert {a["answer_id"] for a in reviewer.get("/v1/answers").json()["answers"]} == {hers, his, own}
    assert [a["answer_id"] for a in reviewer.get("/v1/answers", params={"user_id": "ben"}).json()["answers"]] == [his]
    shown = reviewer.get(f"/v1/answers/{hers}", headers={"X-Request-ID": "look-7"})
    assert shown.json()["user_id"] == "amara"
    assert reviewer.get(f"/v1/answers/{own}").status_code == 200
    events = [event for event in _events(service) if event.action.startswith("answer")]
    assert [(event.action, event.target, event.user_id) for event in events] == [
        ("answer.read", str(hers), "rita"),
        ("answer.list", str(his), "rita"),
        ("answer.list", None, "rita"),
    ]
    assert events[0].request_id == "look-7"
    assert events[2].details == {"answer_ids": sorted([hers, his])}


@pytest.mark.usefixtures("world")
def test_every_other_way_to_see_an_answer_of_another_is_audited(closed: Closed, service: Rag) -> None:
    amara, reviewer = closed("reader", user_id="amara"), closed("reviewer", user_id="rita")
    hers = _ask(amara)
    assert amara.post(f"/v1/answers/{hers}/feedback", json={"rating": -1}).status_code == 201
    assert [queued["answer_id"] for queued in reviewer.get("/v1/review-queue").json()["answers"]] == [hers]
    assert reviewer.get(f"/v1/answers/{hers}/chain").status_code == 200
    assert reviewer.post(f"/v1/answers/{hers}/replay").json()["same"]
    events = [event for event in _events(service) if event.action.startswith("answer")]
    assert [(event.action, event.target, event.user_id) for event in reversed(events)] == [
        ("answer.list", str(hers), "rita"),
        ("answer.read", str(hers), "rita"),
        ("answer.read", str(hers), "rita"),
    ]


@pytest.mark.usefixtures("world")
def test_reviewer_sees_answers_as_far_as_labels_allow(closed: Closed) -> None:
    hr, plain = closed("reader", access_labels=["hr"]), closed("reader", user_id="ben", access_labels=[])
    hers, his = _ask(hr), _ask(plain)
    reviewer = closed("reviewer", user_id="rita", access_labels=[])
    assert [a["answer_id"] for a in reviewer.get("/v1/answers").json()["answers"]] == [his]
    assert reviewer.get(f"/v1/answers/{hers}").status_code == 404


def test_answer_of_another_is_not_shown_when_that_cannot_be_audited(
    closed: Closed, world: TestClient, settings: Settings, check_problem: Check
) -> None:
    hers = _ask(closed("reader", user_id="amara"))
    with writing_elsewhere(settings.resolved_database_url):
        response = world.get(f"/v1/answers/{hers}")
        assert world.get("/v1/collections").status_code == 200
    check_problem(response, 503, "unavailable")
    assert "rota" not in response.text


@pytest.mark.usefixtures("world")
def test_feedback_is_signed_by_the_key(closed: Closed, check_problem: Check) -> None:
    amara = closed("reader", user_id="amara")
    path = f"/v1/answers/{_ask(amara)}/feedback"
    assert amara.post(path, json={"rating": 1}).json()["user_id"] == "amara"
    assert amara.post(path, json={"rating": 1, "user_id": "amara"}).status_code == 201
    forged = amara.post(path, json={"rating": 1, "user_id": "ben"})
    assert "amara's; leave user_id out" in check_problem(forged, 422, "invalid-input")


def test_administrator_makes_lists_and_revokes_keys(closed: Closed, service: Rag, check_problem: Check) -> None:
    administrator, stranger = closed("administrator", user_id="root"), closed(None)
    wanted = {"user_id": "amara", "name": "laptop", "role": "reviewer", "access_labels": ["hr"], "expires_in_days": 3}
    response = administrator.post("/v1/keys", json=wanted)
    assert response.status_code == 201
    made = response.json()
    words = made.pop("key")
    assert response.headers["cache-control"] == "no-store"
    assert (made["user_id"], made["role"], made["collections"], made["access_labels"]) == (
        "amara",
        "reviewer",
        None,
        ["hr"],
    )
    hers = {"Authorization": f"Bearer {words}"}
    assert stranger.get("/session", headers=hers).json()["role"] == "reviewer"
    listed = administrator.get("/v1/keys", params={"user_id": "amara"})
    assert [{**key, "last_used_at": None} for key in listed.json()["keys"]] == [made]
    assert words.split("_", 2)[2] not in listed.text
    assert administrator.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert stranger.get("/session", headers=hers).status_code == 401
    assert "revoked already" in check_problem(administrator.delete(f"/v1/keys/{made['id']}"), 404, "not-found")
    wrong = administrator.post("/v1/keys", json={"user_id": "x", "role": "administrator", "collections": ["a"]})
    assert "opens everything" in check_problem(wrong, 422, "invalid-input")
    (revoked, created, *_) = administrator.get("/v1/audit-events").json()["events"]
    assert (revoked["action"], revoked["target"], revoked["user_id"]) == ("key.revoke", str(made["id"]), "root")
    assert (created["action"], created["request_id"]) == ("key.create", response.headers["x-request-id"])
    assert created["details"]["for_user"] == "amara"
    first = administrator.get("/v1/audit-events", params={"limit": 1}).json()
    assert first["events"] == [revoked]
    rest = administrator.get("/v1/audit-events", params={"cursor": first["next"]}).json()
    assert rest["events"][0] == created
    assert all(words not in str(event) for event in _events(service))


def test_who_sees_less_than_everything_makes_no_keys(service: Rag, settings: Settings, check_problem: Check) -> None:
    labelled = settings.model_copy(update={"access_labels": ("hr",)})
    with TestClient(create_app(labelled, service=service)) as server:
        for response in (
            server.post("/v1/keys", json={"user_id": "me", "role": "administrator"}),
            server.get("/v1/keys"),
            server.delete("/v1/keys/1"),
            server.get("/v1/audit-events"),
        ):
            check_problem(response, 403, "not-allowed")


def test_dataset_and_erasure_are_audited(world: TestClient, service: Rag) -> None:
    dataset_id = world.post("/v1/datasets", json={"name": "v1"}).json()["id"]
    document_id = world.get("/v1/documents").json()["documents"][0]["id"]
    service.erase_document(document_id, reason="request 12")
    erased, created, *_ = _events(service)
    assert (created.action, created.target, created.user_id) == ("dataset.create", str(dataset_id), "root")
    assert (erased.action, erased.target, erased.user_id) == ("document.erase", str(document_id), None)
    assert erased.details == {"reason": "request 12"}


@pytest.mark.usefixtures("world")
def test_key_that_asks_too_fast_is_told_when_to_come_again(closed: Closed, check_problem: Check) -> None:
    slow, other = closed("reader", rate_limit_per_minute=2), closed("reader", rate_limit_per_minute=2)
    assert [slow.get("/v1/collections").status_code for _ in range(2)] == [200, 200]
    response = slow.get("/v1/collections")
    assert "2 requests a minute" in check_problem(response, 429, "rate-limited")
    assert 1 <= int(response.headers["retry-after"]) <= 30
    assert slow.get("/healthz").status_code == 200
    assert other.get("/v1/collections").status_code == 200


def test_own_caller_needs_no_key_on_loopback_and_others_do(service: Rag, check_problem: Check) -> None:
    app = create_app(service=service)
    assert TestClient(app).get("/session").json() == {
        "user_id": None,
        "role": "administrator",
        "collections": None,
        "access_labels": None,
    }
    elsewhere = TestClient(app, client=("10.0.0.7", 1))
    check_problem(elsewhere.get("/v1/collections"), 401, "not-authenticated")
    forwarded = TestClient(app, headers={"X-Forwarded-For": "10.0.0.7"})
    check_problem(forwarded.get("/v1/collections"), 401, "not-authenticated")


def test_key_counts_on_loopback_as_well_and_other_words_are_passed_over(service: Rag, check_problem: Check) -> None:
    app = create_app(service=service)
    with service.database.write() as session:
        _, words = create_api_key(session, NewApiKey(user_id="amara"), caller=OWNER)
    with_key = TestClient(app, headers={"Authorization": f"Bearer {words}"})
    assert with_key.get("/session").json()["role"] == "reader"
    assert TestClient(app, headers={"Authorization": "Bearer none"}).get("/session").json()["role"] == "administrator"
    wrong = TestClient(app, headers={"Authorization": "Bearer rag_1_wrong"})
    check_problem(wrong.get("/session"), 401, "not-authenticated")


def test_key_can_be_asked_for_on_loopback_too(service: Rag, settings: Settings, check_problem: Check) -> None:
    app = create_app(settings.model_copy(update={"require_api_key": "always"}), service=service)
    check_problem(TestClient(app).get("/v1/collections"), 401, "not-authenticated")


def test_answers_of_a_caller_without_a_key_are_nobodys(filled: TestClient, service: Rag) -> None:
    answer_id = filled.post("/v1/answers", json=QUESTION).json()["id"]
    assert filled.get(f"/v1/answers/{answer_id}").json()["user_id"] is None
    assert filled.get("/v1/answers").json()["answers"]
    assert _events(service) == []


def test_database_that_is_away_is_told_and_not_taken_for_a_wrong_key(tmp_path: Any, check_problem: Check) -> None:
    app = create_app(Settings(data_dir=tmp_path / "none", host="0.0.0.0"))
    client = TestClient(app, headers={"Authorization": "Bearer rag_1_x"})
    check_problem(client.get("/v1/collections"), 503, "unavailable")
    assert client.get("/healthz").status_code == 200


def test_answer_that_takes_too_long_is_given_up_and_not_logged(
    filled: TestClient, service: Rag, check_problem: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.answerer, "_timeout_s", 1e-9)
    sentence = check_problem(filled.post("/v1/answers", json=QUESTION), 504, "time-limit-exceeded")
    assert "answer_timeout_s" in sentence
    assert filled.get("/v1/answers").json()["answers"] == []


@pytest.mark.parametrize("passed", ["search", "generate"])
def test_steps_after_the_time_is_up_are_not_begun(
    filled: TestClient, service: Rag, monkeypatch: pytest.MonkeyPatch, passed: str
) -> None:
    del filled
    begun: list[str] = []
    answerer = service.answerer
    real_search, real_generate = answerer._retriever.search, answerer._generator.generate

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            begun.append(name)
            result = real(*arguments, **options)
            if name == passed:
                monkeypatch.setattr("rag.answer_queue.time.monotonic", lambda: 1e12)
            return result

        return run

    monkeypatch.setattr(answerer._retriever, "search", noted("search", real_search))
    monkeypatch.setattr(answerer._generator, "generate", noted("generate", real_generate))
    monkeypatch.setattr(answerer, "log", noted("log", answerer.log))
    with pytest.raises(TimeLimitExceeded):
        service.ask(QUESTION["question"])
    assert begun == ["search", "generate"][: ["search", "generate"].index(passed) + 1]


def test_question_without_a_place_is_told_to_come_again(
    filled: TestClient, service: Rag, check_problem: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise Busy("Too many questions are in work.")

    monkeypatch.setattr(service.answerer.queue, "_enter", full)
    response = filled.post("/v1/answers", json=QUESTION)
    check_problem(response, 503, "busy")
    assert response.headers["retry-after"] == "1"


def test_websocket_is_refused(service: Rag) -> None:
    app = create_app(service=service)
    assert isinstance(app, FastAPI)

    @app.websocket("/socket")
    async def talk(socket: Any) -> None:
        await socket.accept()

    with pytest.raises(WebSocketDisconnect) as refused, TestClient(app).websocket_connect("/socket"):
        pass
    assert refused.value.code == 1008
