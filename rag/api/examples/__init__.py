"""Examples of what the routes return, for the OpenAPI document. JSON bodies carry theirs in their own classes.

A test checks each against the schema of its response.
"""

from collections.abc import Mapping
from typing import Any

from rag.api.examples import access, chat, library, reviewing

REQUESTS: Mapping[str, Any] = library.REQUESTS
"""Of bodies that are forms, which no class of ours describes; by method and path."""

RESPONSES: Mapping[str, Mapping[str, Any]] = {
    **library.RESPONSES,
    **chat.RESPONSES,
    **reviewing.RESPONSES,
    **access.RESPONSES,
}
"""By method and path, then by status, or by status and media type where a response comes in several."""
