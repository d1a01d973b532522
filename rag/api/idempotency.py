"""``Idempotency-Key``: a request that is sent again under its key does nothing and gets the first response again."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from fastapi import Header, Response

from rag.assemble import Rag
from rag.errors import InvalidInput, StoreUnavailable
from rag.records import Caller
from rag.store.idempotency import KeptResponse, claim_key, keep_response, release_key

MAX_KEY_CHARS = 255
KEPT_HEADERS = ("location", "preference-applied")

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text that is new for each upload, such as a UUID. Sent again with the same upload, it is "
        "answered as the first time, for idempotency_hours (a setting); with another upload it is refused.",
    ),
]


def fingerprint(*parts: object) -> str:
    """The hash of what makes a request this one; the parts must be JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def once(
    service: Rag, caller: Caller, *, key: str | None, request_sha256: str, work: Callable[[], Response]
) -> Response:
    """Do the work of a request unless it was done under this key before; then give the response of that time.

    Raises:
        InvalidInput: the key is empty, too long or no printable ASCII, or it was sent with another request.
        Conflict: the same request is being worked on.
    """
    if key is None:
        return work()
    if not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise InvalidInput(f"An Idempotency-Key has 1 to {MAX_KEY_CHARS} printable ASCII characters.")
    scope, keep = _scope(caller), timedelta(hours=service.settings.idempotency_hours)
    with service.database.write() as session:
        kept = claim_key(session, scope=scope, key=key, request_sha256=request_sha256, keep=keep)
    if kept is not None:
        headers = {**kept.headers, "Idempotency-Replayed": "true"}
        return Response(kept.body, kept.status_code, headers, media_type="application/json")
    is_done = False
    try:
        response = work()
        is_done = True
    finally:
        if not is_done:
            with suppress(StoreUnavailable), service.database.write() as session:
                release_key(session, scope=scope, key=key)
    answered = KeptResponse(
        status_code=response.status_code,
        headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
        body=bytes(response.body).decode(),
    )
    with service.database.write() as session:
        keep_response(session, scope=scope, key=key, response=answered)
    return response


def _scope(caller: Caller) -> str:
    """Whose key it is: that of one person, as long as they may see and change the same."""
    labels, collections = (
        None if held is None else sorted(held) for held in (caller.access_labels, caller.collections)
    )
    return json.dumps([caller.user_id, labels, collections])
