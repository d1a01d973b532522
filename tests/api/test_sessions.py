"""Signing in on the pages: cookies that scripts and other hosts cannot use, and an end to them."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from rag.api.app import create_app
from rag.assemble import Rag
from rag.records import OWNER
from rag.store.api_keys import NewApiKey, create_api_key, list_api_keys, revoke_api_key

Check = Callable[..., str]
Closed = Callable[..., TestClient]


@pytest.fixture
def page(closed: Closed) -> TestClient:
    """A browser that has no key and no cookie yet."""
    return closed(None)


def _make_key(service: Rag, **more: Any) -> str:
    with service.database.write() as session:
        new = NewApiKey(**{"user_id": "amara", "role": "contributor", **more})
        _, words = create_api_key(session, new, caller=OWNER)
    return words


def _sign_in(page: TestClient, words: str) -> Response:
    response = page.post("/session", json={"key": words})
    assert response.status_code == 201, response.text
    return response


def _upload(page: TestClient, **headers: str) -> Response:
    return page.post("/v1/documents", files={"file": ("a.txt", b"Some words.")}, headers=headers)


def _cookies(response: Response) -> dict[str, set[str]]:
    """The attributes of each cookie that a response sets."""
    found = {}
    for line in response.headers.get_list("set-cookie"):
        first, *attributes = line.split("; ")
        found[first.split("=")[0]] = {attribute.lower() for attribute in attributes}
    return found


def test_key_is_exchanged_for_cookies_that_stand_for_it(page: TestClient, service: Rag) -> None:
    words = _make_key(service)
    response = _sign_in(page, words)
    assert (response.json()["user_id"], response.json()["role"]) == ("amara", "contributor")
    assert response.headers["cache-control"] == "no-store"
    assert words not in str(response.headers) + response.text
    assert page.get("/session").json()["user_id"] == "amara"
    assert page.get("/v1/collections").status_code == 200
    uploaded = _upload(page, **{"X-CSRF-Token": response.json()["csrf_token"]})
    assert uploaded.status_code == 201


def test_cookies_are_hidden_strict_and_secure_where_the_page_is(closed: Closed, service: Rag) -> None:
    words = _make_key(service)
    for scheme, is_secure in (("http", False), ("https", True)):
        page = TestClient(closed(None).app, base_url=f"{scheme}://rag.example.org")
        cookies = _cookies(_sign_in(page, words))
        assert {"httponly", "samesite=strict", "path=/"} <= cookies["rag_session"]
        assert "samesite=strict" in cookies["rag_csrf"]
        assert "httponly" not in cookies["rag_csrf"], "the page's script reads it"
        assert [("secure" in attributes) for attributes in cookies.values()] == [is_secure, is_secure]
        assert all(any(part.startswith("max-age=") for part in attributes) for attributes in cookies.values())


def test_only_hashes_of_the_cookie_are_kept(page: TestClient, service: Rag) -> None:
    _sign_in(page, _make_key(service))
    secret = page.cookies["rag_session"]
    assert len(secret) == 43
    with service.database.read() as session:
        assert secret not in str(session.execute(text("SELECT * FROM sign_ins")).all())


@pytest.mark.parametrize("words", ["", "rag_1_wrong", "sk-1", "rag_1_\u00e9"])
def test_wrong_key_does_not_sign_in(page: TestClient, service: Rag, check_problem: Check, words: str) -> None:
    _make_key(service)
    response = page.post("/session", json={"key": words})
    check_problem(response, 401, "not-authenticated")
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("token", [None, "", "wrong", "0" * 64])
def test_change_by_cookie_needs_its_token(
    page: TestClient, service: Rag, check_problem: Check, token: str | None
) -> None:
    _sign_in(page, _make_key(service))
    headers = {} if token is None else {"X-CSRF-Token": token}
    assert "X-CSRF-Token" in check_problem(_upload(page, **headers), 403, "not-allowed")
    check_problem(page.delete("/session", headers=headers), 403, "not-allowed")
    assert page.get("/session").status_code == 200


def test_token_of_another_sign_in_does_not_do(closed: Closed, service: Rag, check_problem: Check) -> None:
    words = _make_key(service)
    first, second = closed(None), closed(None)
    _sign_in(first, words)
    token = _sign_in(second, words).json()["csrf_token"]
    check_problem(_upload(first, **{"X-CSRF-Token": token}), 403, "not-allowed")


def test_page_of_another_host_does_nothing_even_with_the_cookies(
    page: TestClient, service: Rag, check_problem: Check
) -> None:
    token = _sign_in(page, _make_key(service)).json()["csrf_token"]
    headers = {"X-CSRF-Token": token, "Origin": "http://evil.example"}
    check_problem(_upload(page, **headers), 403, "not-allowed")
    check_problem(page.post("/session", json={"key": "x"}, headers=headers), 403, "not-allowed")
    assert _upload(page, **{**headers, "Origin": "http://rag.example.org"}).status_code == 201


def test_signing_out_ends_it_for_good(page: TestClient, service: Rag, check_problem: Check) -> None:
    token = _sign_in(page, _make_key(service)).json()["csrf_token"]
    secret = page.cookies["rag_session"]
    response = page.delete("/session", headers={"X-CSRF-Token": token})
    assert response.status_code == 204
    assert not page.cookies
    check_problem(page.get("/session"), 401, "not-authenticated")
    again = page.get("/session", headers={"Cookie": f"rag_session={secret}"})
    assert "sign in again" in check_problem(again, 401, "not-authenticated")
    assert page.delete("/session").status_code == 204


def test_sign_in_ends_with_its_key_and_with_its_time(closed: Closed, service: Rag) -> None:
    pages = [closed(None), closed(None)]
    for page in pages:
        _sign_in(page, _make_key(service))
    with service.database.write() as session:
        revoke_api_key(session, list_api_keys(session)[0].id, caller=OWNER)
    assert [page.get("/session").status_code for page in pages] == [401, 200]
    with service.database.write() as session:
        session.execute(text("UPDATE sign_ins SET expires_at = '2020-01-01 00:00:00'"))
    assert pages[1].get("/session").status_code == 401


def test_limits_of_the_key_hold_for_its_sign_in(page: TestClient, service: Rag, check_problem: Check) -> None:
    _sign_in(page, _make_key(service, role="reader", rate_limit_per_minute=1, collections=["a"]))
    assert page.get("/session").json()["collections"] == ["a"]
    check_problem(page.get("/session"), 429, "rate-limited")


def test_key_in_a_header_wins_over_the_cookie_and_needs_no_token(page: TestClient, service: Rag) -> None:
    _sign_in(page, _make_key(service, role="reader"))
    other = _make_key(service, user_id="ben")
    assert page.get("/session", headers={"X-API-Key": other}).json()["user_id"] == "ben"
    assert _upload(page, **{"X-API-Key": other}).status_code == 201


def test_sign_in_counts_on_loopback_too_and_an_ended_one_is_passed_over(service: Rag) -> None:
    page = TestClient(create_app(service=service))
    _sign_in(page, _make_key(service, role="reader"))
    assert page.get("/session").json()["role"] == "reader"
    stale = TestClient(page.app, cookies={"rag_session": "ended"})
    assert stale.get("/session").json()["role"] == "administrator"


def test_pages_are_open_and_hold_nothing(page: TestClient) -> None:
    for path in ("/", "/sign-in", "/static/sign-in.js", "/static/session.js"):
        assert page.get(path).status_code == 200
