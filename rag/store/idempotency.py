"""Keys that clients send so that a request may be repeated: the first response is kept and given again.

As in the IETF draft "The Idempotency-Key HTTP Header Field". Only requests that succeeded are kept; one that failed may
be sent again under its key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from rag.errors import Conflict, InvalidInput
from rag.store import tables
from rag.store.database import insert_if_absent

LEASE = timedelta(seconds=60)
"""After so long without a response the request is taken for lost with its server, and may be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResponse:
    """What a request was told: status, headers of its own, and the body as it was sent."""

    status_code: int
    headers: Mapping[str, str]
    body: str


def claim_key(session: Session, *, scope: str, key: str, request_sha256: str, keep: timedelta) -> KeptResponse | None:
    """Begin a request under a key, or find what it was told before. Keys that have expired are deleted.

    Args:
        session: a writing one.
        scope: who sent it; a key means nothing to another.
        key: as sent.
        request_sha256: of everything that makes it this request.
        keep: how long the response is to be kept.

    Returns:
        None for a new key: the caller now works on the request, and ends with ``keep_response`` or ``release_key``.

    Raises:
        InvalidInput: the key was sent with another request.
        Conflict: the same request is being worked on.
    """
    now = datetime.now(UTC)
    row = tables.IdempotencyKey
    session.execute(delete(row).where(row.expires_at < now))
    this_key = (row.scope == scope, row.key == key)
    session.execute(delete(row).where(*this_key, row.status_code.is_(None), row.claimed_at < now - LEASE))
    claim: dict[str, Any] = {"scope": scope, "key": key, "request_sha256": request_sha256}
    claim |= {"claimed_at": now, "expires_at": now + keep}
    is_new = insert_if_absent(session, row, claim)
    found = session.execute(select(row).where(*this_key)).scalar_one()
    if found.request_sha256 != request_sha256:
        raise InvalidInput("This Idempotency-Key was sent with another request; use a new key for each request.")
    if found.status_code is not None:
        return KeptResponse(status_code=found.status_code, headers=found.headers or {}, body=found.body or "")
    if not is_new:
        raise Conflict("A request with this Idempotency-Key is being worked on; try again in a moment.")
    return None


def keep_response(session: Session, *, scope: str, key: str, response: KeptResponse) -> None:
    """Keep what a request was told."""
    row = tables.IdempotencyKey
    session.execute(
        update(row)
        .where(row.scope == scope, row.key == key)
        .values(status_code=response.status_code, headers=dict(response.headers), body=response.body)
    )


def release_key(session: Session, *, scope: str, key: str) -> None:
    """Forget a key whose request failed."""
    row = tables.IdempotencyKey
    session.execute(delete(row).where(row.scope == scope, row.key == key, row.status_code.is_(None)))
