"""Reading a chat completion off the wire: server-sent events, or one JSON object where a server does not stream.

Whatever a server sends is bounded, and what cannot be understood becomes one ``BadReply``.
"""

import json
from dataclasses import dataclass
from typing import Any

import httpx2

MAX_REPLY_CHARS = 50_000
"""An answer is a few sentences; this is twenty pages."""
MAX_EVENT_BYTES = 1_000_000
MAX_STREAM_BYTES = 16_000_000
"""An event takes some 300 bytes for each token that it brings."""


class BadReply(Exception):
    """What a server sent is no completion; the message continues "The model server at … "."""


@dataclass(slots=True)
class Completion:
    """A completion as far as it has come. ``finish_reason`` is "stop" or "length", "" until the end."""

    text: str = ""
    model: str = ""
    finish_reason: str = ""
    fingerprint: str = ""


async def read_completion(response: httpx2.Response) -> Completion:
    """The completion that a response with status 200 brings.

    Raises:
        BadReply: it is none, is too large, reports an error, or breaks off.
        httpx2.TransportError: the connection is lost on the way.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadReply("compresses its reply although it was asked not to")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return await _read_events(response)
    if kind == "application/json":
        completion = Completion()
        _take(completion, parse_object(await read_bounded(response)), part="message")
        return completion
    named = "a web page" if kind == "text/html" else f"content of the type {kind[:60]!r}"
    raise BadReply(f"sends {named}, no completion; check the URL in the setting generator, which usually ends in /v1")


async def read_bounded(response: httpx2.Response, *, max_bytes: int = MAX_EVENT_BYTES) -> bytes:
    """The body; raises BadReply where it is larger than ``max_bytes``."""
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > max_bytes:
            raise BadReply(f"sends a reply of more than {max_bytes:,} bytes")
    return bytes(body)


def parse_object(data: str | bytes) -> dict[str, Any]:
    """A JSON object; raises BadReply for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadReply("sends what is not JSON") from error
    if not isinstance(value, dict):
        raise BadReply("sends JSON that is no object")
    return value


async def _read_events(response: httpx2.Response) -> Completion:
    completion, num_bytes, done = Completion(), 0, False
    async for event in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
        num_bytes += len(event.data)
        if num_bytes > MAX_STREAM_BYTES:
            raise BadReply(f"sends a reply of more than {MAX_STREAM_BYTES:,} bytes")
        if event.data.strip() == "[DONE]":
            done = True
            break
        if event.data.strip():
            _take(completion, parse_object(event.data), part="delta")
    if not done and not completion.finish_reason:
        raise BadReply("breaks off its reply before the end")
    return completion


def _take(completion: Completion, value: dict[str, Any], *, part: str) -> None:
    """Add what one object brings. ``part`` is where it holds text: delta in a stream, else message."""
    if value.get("error"):
        raise BadReply(f"reports an error: {error_words(value)}")
    completion.model = _text(value.get("model")) or completion.model
    completion.fingerprint = _text(value.get("system_fingerprint")) or completion.fingerprint
    choices = value.get("choices")
    if not isinstance(choices, list) or (part == "message" and not choices):
        raise BadReply("sends JSON that is no chat completion")
    if not choices:
        return  # figures on usage come without any
    choice = choices[0]
    said = choice.get(part) if isinstance(choice, dict) else None
    if not isinstance(said, dict) or not isinstance(said.get("content") or "", str):
        raise BadReply("sends JSON that is no chat completion")
    completion.text += said.get("content") or ""
    if len(completion.text) > MAX_REPLY_CHARS:
        raise BadReply(f"writes an answer of more than {MAX_REPLY_CHARS:,} characters")
    completion.finish_reason = _text(choice.get("finish_reason")) or completion.finish_reason


def error_words(value: dict[str, Any]) -> str:
    """What a server says went wrong, on one line and not too long."""
    error = value.get("error", value)
    message = error.get("message", "") if isinstance(error, dict) else error
    return " ".join(_printable(str(message)).split())[:200] or "it does not say which"


def _text(value: object) -> str:
    return _printable(value)[:200] if isinstance(value, str) else ""


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
