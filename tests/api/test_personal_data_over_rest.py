"""A person's data over REST: for administrators alone, and audited."""

from collections.abc import Callable

from fastapi.testclient import TestClient

from rag.store.audit import list_audit_events

Closed = Callable[..., TestClient]


def _ask(client: TestClient) -> None:
    assert client.post("/v1/answers", json={"question": "Who keeps the rota?", "conversation": True}).status_code == 200


def test_administrator_shows_and_erases_a_persons_data(closed: Closed) -> None:
    administrator, reader = closed("administrator", user_id="root"), closed("reader", user_id="amara")
    sent = {"file": ("rota.md", b"The rota is kept by Jonas.")}
    assert administrator.post("/v1/documents", files=sent).status_code == 201
    _ask(reader)
    shown = administrator.get("/v1/users/amara/data").json()["records"]
    assert {"user", "api_key", "conversation", "answer"} <= {record["record"] for record in shown}
    counted = administrator.delete("/v1/users/amara/data").json()
    assert (counted["erased"], counted["num_answers"], counted["num_conversations"]) == (False, 1, 1)
    assert reader.get("/v1/answers").status_code == 200
    erased = administrator.delete("/v1/users/amara/data", params={"confirm": True, "mode": "anonymise"}).json()
    assert erased == {**counted, "erased": True, "num_audit_events": erased["num_audit_events"]}
    assert reader.get("/v1/answers").status_code == 401
    assert administrator.get("/v1/users/amara/data").status_code == 404
    assert administrator.get("/v1/answers/1").json()["question"] == ""
    assert administrator.post("/v1/answers/1/replay").status_code == 422
    with administrator.app.state.keeper.open().database.read() as session:  # type: ignore[attr-defined]
        actions = [event.action for event in list_audit_events(session, user_id="root")]
    assert {"user.export", "user.erase"} <= set(actions)


def test_others_may_neither_see_nor_erase_it(closed: Closed) -> None:
    reviewer = closed("reviewer", user_id="amara")
    for method in ("GET", "DELETE"):
        assert reviewer.request(method, "/v1/users/amara/data").status_code == 403


def test_list_of_others_conversations_is_audited(closed: Closed) -> None:
    reader = closed("reader", user_id="amara")
    assert reader.get("/v1/conversations").status_code == 200
    with reader.app.state.keeper.open().database.read() as session:  # type: ignore[attr-defined]
        assert list_audit_events(session, action="conversation.list") == []
