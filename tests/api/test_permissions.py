"""The table of permissions holds every route, and what it lacks is for administrators."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.testclient import TestClient

from rag.api.app import create_app
from rag.api.permissions import PERMISSIONS, RouteTable, require_role, route_names
from rag.assemble import Rag
from rag.config import Settings
from rag.errors import NotAllowed
from rag.records import Caller, Role

Check = Callable[..., str]
ROLES: tuple[Role, ...] = get_args(Role)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


def test_every_route_stands_in_the_table_and_nothing_else_does(app: FastAPI) -> None:
    names = set(route_names(app.routes))
    assert names - set(PERMISSIONS) == set(), "add these routes to rag/api/permissions.py"
    assert set(PERMISSIONS) - names == set(), "these routes are gone; take them out of rag/api/permissions.py"


def test_what_needs_no_key_is_listed_here_as_well() -> None:
    # So that nobody opens a route by one word: this list has to be changed too.
    assert {name for name, access in PERMISSIONS.items() if access == "everyone"} == {
        "GET /",
        "GET /documents/{document_id}",
        "GET /documents",
        "GET /review",
        "GET /evaluation",
        "GET /sign-in",
        "GET /static",
        "GET /docs",
        "GET /swagger",
        "GET /openapi.json",
        "GET /healthz",
        "GET /readyz",
        "POST /session",
        "DELETE /session",
    }


@pytest.mark.parametrize("held", ROLES)
@pytest.mark.parametrize("needed", ROLES)
def test_each_role_may_do_what_those_before_it_may(held: Role, needed: Role) -> None:
    caller = Caller(role=held)
    if ROLES.index(held) >= ROLES.index(needed):
        require_role(caller, needed)
    else:
        with pytest.raises(NotAllowed, match=f"needs the role {needed}"):
            require_role(caller, needed)


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("GET", "/v1/answers/7", "reader"),
        ("HEAD", "/openapi.json", "everyone"),
        ("DELETE", "/v1/documents/7", "contributor"),
        ("GET", "/static/ask.js", "everyone"),
        ("GET", "/static/../v1/keys", "everyone"),  # a file of that folder, or none
        ("GET", "/v1/keys", "administrator"),
        ("GET", "/nothing", None),
        ("GET", "/v1/answers/", None),
        ("PUT", "/v1/search", None),  # answered with 405
    ],
)
def test_request_needs_what_its_route_does(app: FastAPI, method: str, path: str, access: str | None) -> None:
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    assert RouteTable().needed(scope, app.routes) == access


def test_route_that_the_table_lacks_is_for_administrators(app: FastAPI) -> None:
    table = RouteTable()

    def needed(method: str, path: str) -> Any:
        return table.needed({"type": "http", "method": method, "path": path, "headers": []}, app.routes)

    assert needed("GET", "/v1/new") is None
    added, mounted = APIRouter(prefix="/v1/new"), FastAPI()
    added.add_api_route("", lambda: {}, methods=["GET"])
    added.add_api_route("/{number}", lambda: {}, methods=["DELETE"])
    app.include_router(added)
    app.mount("/mounted", mounted)
    app.add_route("/plain", lambda _: Response())
    for method, path in (("GET", "/v1/new"), ("DELETE", "/v1/new/7"), ("POST", "/mounted/x"), ("GET", "/plain")):
        assert needed(method, path) == "administrator"


def test_reader_does_not_get_into_a_route_that_was_added(
    service: Rag, closed: Callable[..., TestClient], check_problem: Check
) -> None:
    reader, administrator = closed("reader"), closed("administrator")
    app = reader.app
    assert isinstance(app, FastAPI)
    assert reader.get("/v1/secret").status_code == 404
    app.add_api_route("/v1/secret", lambda: {"secret": service.settings.host}, methods=["GET"])
    assert "needs the role administrator" in check_problem(reader.get("/v1/secret"), 403, "not-allowed")
    assert administrator.get("/v1/secret").status_code == 200
    check_problem(TestClient(app).get("/v1/secret"), 401, "not-authenticated")


def test_description_tells_who_may_ask_what(server: TestClient) -> None:
    document = server.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header", "cookie"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            access = PERMISSIONS[f"{method.upper()} {path}"]
            assert operation.get("x-role", "everyone") == access
            assert ("security" in operation) == (access != "everyone")
            if access != "everyone":
                assert {"401", "403", "421", "429", "503"} <= set(operation["responses"])
