"""Refusals of what stands before the routes, in the form that the caller of a route reads."""

from fastapi import Request, Response

from rag.api.openai_errors import openai_error, speaks_openai
from rag.api.problems import error_response
from rag.errors import RagError


async def refusal(request: Request, error: RagError) -> Response:
    """The response to a request that does not come to its route."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return await openai_error(request, error) if speaks_openai(path) else error_response(request, error)
