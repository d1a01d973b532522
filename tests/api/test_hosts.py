"""Names that a server is called by, and pages of other hosts: on loopback neither gets through."""

from collections.abc import Callable, Iterator

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.api.hosts import is_loopback, is_own_caller
from rag.assemble import Rag
from rag.config import Settings, load_settings
from rag.errors import InvalidInput
from tests.storage import NewStorage

Check = Callable[..., str]
QUERY = {"query": "rota"}


@pytest.fixture(scope="module")
def settings(new_storage: NewStorage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A database that no test puts anything into, so that they may share it."""
    folder = tmp_path_factory.mktemp("hosts")
    with new_storage(folder) as storage:
        yield Settings(**storage, data_dir=folder)


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Rag]:
    with Rag(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(service: Rag) -> Iterator[TestClient]:
    with TestClient(create_app(service=service)) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_for_itself_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.x", "127.0.0.1.x"])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("client", "headers", "is_own"),
    [
        (("127.0.0.1", 1), {}, True),
        (("::1", 1), {}, True),
        (("10.0.0.7", 1), {}, False),
        (None, {}, False),
        (("127.0.0.1", 1), {"x-forwarded-for": "10.0.0.7"}, False),
        (("127.0.0.1", 1), {"forwarded": "for=10.0.0.7"}, False),
    ],
)
def test_own_caller_is_of_this_machine_and_not_passed_on(
    client: tuple[str, int] | None, headers: dict[str, str], is_own: bool
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert is_own_caller(Request({"type": "http", "client": client, "headers": raw})) is is_own


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LocalHost:9", "[::1]:8000", "localhost.:8000"])
def test_loopback_names_are_taken(server: TestClient, host: str) -> None:
    assert server.get("/v1/collections", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "testserver", "127.0.0.1.evil.example", "localhost@evil", "10.0.0.1", "", "[::1", ":"],
)
@pytest.mark.parametrize("path", ["/v1/collections", "/", "/healthz", "/nothing"])
def test_other_names_are_refused_whatever_is_asked(
    server: TestClient, check_problem: Check, host: str, path: str
) -> None:
    response = server.get(path, headers={"Host": host})
    assert "allowed_hosts" in check_problem(response, 421, "misdirected")


def test_two_names_in_one_request_are_refused(server: TestClient, check_problem: Check) -> None:
    request = server.build_request("GET", "/v1/collections")
    request.headers = type(request.headers)([*request.headers.multi_items(), ("Host", "evil.example")])
    check_problem(server.send(request), 421, "misdirected")


def test_allowed_names_are_taken_beside_loopback_ones(service: Rag, settings: Settings, check_problem: Check) -> None:
    named = settings.model_copy(update={"allowed_hosts": ("rag.example.org",)})
    with TestClient(create_app(named, service=service)) as server:
        assert server.get("/v1/collections", headers={"Host": "RAG.example.org:80"}).status_code == 200
        assert server.get("/v1/collections").status_code == 200
        check_problem(server.get("/v1/collections", headers={"Host": "other.example.org"}), 421, "misdirected")


def test_name_that_is_none_is_refused_among_the_settings() -> None:
    for wrong in ("http://rag.example.org", "rag.example.org:8000", "rag.example.org/x", ""):
        with pytest.raises(InvalidInput, match="no host name"):
            load_settings(allowed_hosts=(wrong,))
    assert load_settings(allowed_hosts=("RAG.Example.org.", "::1")).allowed_hosts == ("rag.example.org", "::1")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:8000.evil.example",
        "http://127.0.0.1:9999",
        "null",
        "http://[",
        "file://",
    ],
)
def test_page_of_another_host_changes_nothing(server: TestClient, check_problem: Check, origin: str) -> None:
    headers = {"Origin": origin}
    assert "another host" in check_problem(server.post("/v1/search", json=QUERY, headers=headers), 403, "not-allowed")
    response = server.post("/v1/documents", files={"file": ("a.txt", b"x")}, headers=headers)
    check_problem(response, 403, "not-allowed")
    check_problem(server.delete("/v1/documents/1", headers=headers), 403, "not-allowed")
    assert server.get("/v1/collections", headers=headers).json()["collections"] == []


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://LOCALHOST:8000", "localhost:8000"),
        ("http://localhost", "localhost:80"),
        ("https://localhost", "localhost"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_own_page_may_change_something(server: TestClient, origin: str, host: str) -> None:
    response = server.post("/v1/search", json=QUERY, headers={"Origin": origin, "Host": host})
    assert response.status_code == 404  # it gets as far as the collection, which is not there


def test_page_under_the_name_of_the_proxy_may_as_well(service: Rag, settings: Settings, check_problem: Check) -> None:
    named = settings.model_copy(update={"allowed_hosts": ("rag.example.org",)})
    with TestClient(create_app(named, service=service)) as server:
        headers = {"Origin": "https://rag.example.org"}
        assert server.post("/v1/search", json=QUERY, headers=headers).status_code == 404  # nothing is there yet
        headers = {"Origin": "https://other.example.org"}
        check_problem(server.post("/v1/search", json=QUERY, headers=headers), 403, "not-allowed")


def test_no_other_origin_is_let_read_anything(server: TestClient) -> None:
    response = server.get("/v1/collections", headers={"Origin": "http://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control-")]
