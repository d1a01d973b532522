"""Which role each route needs: one table, and whoever adds a route adds a line. What it lacks is the administrator's.

    reader         asks, searches, sees documents and collections, rates, sees own answers
    contributor    uploads and deletes documents too
    reviewer       sees everybody's answers too, as far as the labels of the key allow
    administrator  everything

``rag.api.gate`` holds every request to it; what a role sees within a route is for the queries (``rag.store.access``).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import Scope

from rag.errors import NotAllowed
from rag.records import Caller, Role

Access = Role | Literal["everyone"]
_RANKS = {role: rank for rank, role in enumerate(get_args(Role))}

PERMISSIONS: Mapping[str, Access] = {
    # Pages and descriptions hold nothing of the documents; whoever watches over the server has no key.
    "GET /": "everyone",
    "GET /documents/{document_id}": "everyone",
    "GET /sign-in": "everyone",
    "GET /review": "everyone",
    "GET /documents": "everyone",
    "GET /evaluation": "everyone",
    "GET /static": "everyone",
    "GET /docs": "everyone",
    "GET /swagger": "everyone",
    "GET /openapi.json": "everyone",
    "GET /healthz": "everyone",
    "GET /readyz": "everyone",
    "POST /session": "everyone",
    "DELETE /session": "everyone",
    "GET /session": "reader",
    "POST /v1/answers": "reader",
    "GET /v1/answers": "reader",
    "GET /v1/answers/{answer_id}": "reader",
    "POST /v1/answers/{answer_id}/feedback": "reader",
    "POST /v1/answers/{answer_id}/replay": "reader",
    "GET /v1/answers/{answer_id}/chain": "reader",
    "GET /v1/conversations": "reader",
    "GET /v1/conversations/{conversation_id}": "reader",
    "DELETE /v1/conversations/{conversation_id}": "reader",
    "POST /v1/chat/completions": "reader",
    "POST /v1/embeddings": "reader",
    "GET /v1/models": "reader",
    "GET /v1/models/{model}": "reader",
    "POST /v1/search": "reader",
    "GET /v1/documents": "reader",
    "GET /v1/documents/{document_id}": "reader",
    "GET /v1/documents/{document_id}/versions": "reader",
    "POST /v1/documents": "contributor",
    "DELETE /v1/documents/{document_id}": "contributor",
    "GET /v1/ingestion-runs": "contributor",  # they name files that were refused
    "GET /v1/ingestion-runs/{run_id}": "contributor",
    "GET /v1/ingestion-runs/{run_id}/failures": "contributor",
    "GET /v1/ingestion-runs/{run_id}/events": "contributor",
    "GET /v1/collections": "reader",
    "GET /v1/datasets": "reader",
    "GET /v1/datasets/{dataset_id}": "reader",
    "GET /v1/datasets/{dataset_id}/diff/{other_id}": "reader",
    "POST /v1/datasets": "administrator",  # it can never be deleted
    "GET /v1/review-queue": "reviewer",
    "GET /v1/review-agreement": "reviewer",
    "GET /v1/unanswered-questions": "reviewer",
    "GET /v1/usage": "reviewer",
    "GET /v1/evaluation-runs": "reviewer",
    "GET /v1/evaluation-runs/compare": "reviewer",
    "GET /v1/evaluation-runs/{run_id}": "reviewer",
    "POST /v1/keys": "administrator",
    "GET /v1/keys": "administrator",
    "DELETE /v1/keys/{key_id}": "administrator",
    "GET /v1/audit-events": "administrator",
    "GET /v1/users/{user_id}/data": "administrator",
    "DELETE /v1/users/{user_id}/data": "administrator",
    "GET /metrics": "reader",  # whoever fetches them has a key of their own, or is on this machine
}
"""By method and path, as the route declares it. GET means HEAD as well, and a folder of files is its path."""


def require_role(caller: Caller, needed: Role) -> None:
    """Let a caller pass whose role is the needed one or a higher one.

    Raises:
        NotAllowed: it is a lower one.
    """
    if _RANKS[caller.role] < _RANKS[needed]:
        raise NotAllowed(
            f"This needs the role {needed}, and your key's is {caller.role}; ask an administrator for one."
        )


def route_names(routes: Sequence[BaseRoute]) -> list[str]:
    """The names of routes as the table has them."""
    return [name for context in iter_route_contexts(routes) for name in _names(context)]


class RouteTable:
    """Finds the route that a request will come to, and what it needs. The first that fits, as the router does it."""

    def __init__(self) -> None:
        self._patterns: list[tuple[Any, Mapping[str, str]]] = []

    def needed(self, scope: Scope, routes: Sequence[BaseRoute]) -> Access | None:
        """What a request needs; None where no route answers it."""
        name = self._find(scope)
        if name is None and any(route.matches(scope)[0] is Match.FULL for route in routes):
            # A route that was added since. It is not enough to look for the routes once.
            self._patterns = [_pattern(context) for context in iter_route_contexts(routes)]
            name = self._find(scope) or ""
        return None if name is None else PERMISSIONS.get(name, "administrator")

    def _find(self, scope: Scope) -> str | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        names = (names.get(scope["method"]) for regex, names in self._patterns if regex.match(path))
        return next((name for name in names if name is not None), None)


def describe(document: dict[str, Any], problem: Mapping[int | str, Any]) -> None:
    """Add to an OpenAPI document how callers say who they are, and what each route needs.

    ``problem`` holds what to say of the statuses that the gate answers with.
    """
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer rag_…`."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "rag_session", "description": "From POST /session."},
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needed = PERMISSIONS.get(f"{method.upper()} {path}", "administrator")
            statuses: tuple[int, ...] = (421,) if method == "get" else (403, 421)
            if needed != "everyone":
                operation["security"] = [{"bearer": []}, {"header": []}, {"cookie": []}]
                operation["x-role"] = needed
                statuses = (401, 403, 421, 429, 503)
            responses = operation["responses"]
            for status in statuses:
                # Routes of the OpenAI protocol tell errors in its form, and say so of all of them.
                content = responses.get("4XX", problem[status])["content"]
                responses.setdefault(str(status), {**problem[status], "content": content})


def _names(context: RouteContext) -> list[str]:
    methods = context.methods or {"GET", "HEAD"}
    return sorted({f"{'GET' if method == 'HEAD' else method} {_described(context)}" for method in methods})


def _described(context: RouteContext) -> str:
    """A route's path as the OpenAPI document has it: without what its parameters match."""
    return re.sub(r":\w+}", "}", str(context.path))


def _pattern(context: RouteContext) -> tuple[Any, Mapping[str, str]]:
    is_mount = context.methods is None
    regex, *_ = compile_path(f"{context.path}/{{path:path}}" if is_mount else str(context.path))
    methods = context.methods or {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    return regex, {
        method: f"{'GET' if method == 'HEAD' or is_mount else method} {_described(context)}" for method in methods
    }
