"""API keys: who they are of, what they open, and whether one that is shown is good.

A key is ``rag_ID_SECRET``; the secret is 32 random bytes (256 bits) in base64url. It is shown once, and only its
SHA-256 is kept. A slow hash, as passwords need one, would add nothing: it makes guessing dear, and nobody guesses 256
random bits, whereas it would have to be computed with every request.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, NotFound
from rag.records import Caller, Role
from rag.store import key_tables
from rag.store.access import checked_labels
from rag.store.audit import put_audit_event
from rag.store.column_types import check_plain_text
from rag.store.database import insert_if_absent

PREFIX = "rag_"
NUM_SECRET_BYTES = 32
SECONDS_BETWEEN_USES = 60
"""``last_used_at`` is as exact as that, so that a key which is used all the time does not write all the time."""
MAX_ID_CHARS = 18
"""Longer numbers are no id of a row."""
MAX_NAME_CHARS = 200
MAX_DAYS = 36_500
MAX_PER_MINUTE = 1_000_000
_COLUMNS = [column for column in key_tables.ApiKey.__table__.columns if column.name != "secret_sha256"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """A key that is to be made. None: all collections, all documents, any number of requests, for ever."""

    user_id: str
    name: str = ""
    role: Role = "reader"
    collections: Sequence[str] | None = None
    access_labels: Sequence[str] | None = None
    rate_limit_per_minute: int | None = None
    expires_in_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept, without its secret. ``last_used_at`` is exact to a minute."""

    id: int
    user_id: str
    name: str
    role: Role
    collections: tuple[str, ...] | None
    access_labels: tuple[str, ...] | None
    rate_limit_per_minute: int | None
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def create_api_key(session: Session, new: NewApiKey, *, caller: Caller) -> tuple[ApiKey, str]:
    """Make a key, and its user if it is their first; returns it and the words that are shown once.

    Raises:
        InvalidInput: the user's id is blank, the role is unknown, a limit is out of its range, a list of collections is
            empty, or an administrator's key is to be kept to something.
    """
    _check(new)
    now = datetime.now(UTC)
    insert_if_absent(session, key_tables.User, {"id": new.user_id, "created_at": now})
    secret = secrets.token_urlsafe(NUM_SECRET_BYTES)
    row = key_tables.ApiKey(
        user_id=new.user_id,
        name=new.name,
        secret_sha256=_sha256(secret),
        role=new.role,
        collections=None if new.collections is None else sorted(set(new.collections)),
        access_labels=None if new.access_labels is None else checked_labels(new.access_labels),
        rate_limit_per_minute=new.rate_limit_per_minute,
        expires_at=None if new.expires_in_days is None else now + timedelta(days=new.expires_in_days),
        created_at=now,
    )
    session.add(row)
    session.flush()
    made = get_api_key(session, row.id)
    opens = {
        "for_user": made.user_id,
        "role": made.role,
        "collections": made.collections,
        "access_labels": made.access_labels,
        "expires_at": None if made.expires_at is None else made.expires_at.isoformat(),
    }
    put_audit_event(session, caller, "key.create", target=row.id, details=opens)
    return made, f"{PREFIX}{row.id}_{secret}"


def get_api_key(session: Session, key_id: int) -> ApiKey:
    """The key of that id, a revoked one as well.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(select(*_COLUMNS).where(key_tables.ApiKey.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no key {key_id}.")
    return _key(row)


def list_api_keys(session: Session, *, user_id: str | None = None) -> list[ApiKey]:
    """All keys by id, revoked and expired ones as well; of one user if given."""
    wanted = [] if user_id is None else [key_tables.ApiKey.user_id == user_id]
    return [_key(row) for row in session.execute(select(*_COLUMNS).where(*wanted).order_by(key_tables.ApiKey.id))]


def revoke_api_key(session: Session, key_id: int, *, caller: Caller) -> None:
    """Let a key open nothing any more, and the sign-ins made with it neither.

    Raises:
        NotFound: there is no such key, or it is revoked already.
    """
    if get_api_key(session, key_id).revoked_at is not None:
        raise NotFound(f"Key {key_id} is revoked already.")
    session.execute(
        update(key_tables.ApiKey).where(key_tables.ApiKey.id == key_id).values(revoked_at=datetime.now(UTC))
    )
    put_audit_event(session, caller, "key.revoke", target=key_id)


def find_usable_key(session: Session, shown: str) -> ApiKey | None:
    """The key that these words are, or None where they are none, or one that is revoked or expired."""
    key_id, _, secret = shown.removeprefix(PREFIX).partition("_")
    if not (shown.startswith(PREFIX) and key_id.isascii() and key_id.isdigit() and len(key_id) <= MAX_ID_CHARS):
        return None
    statement = select(key_tables.ApiKey.secret_sha256).where(key_tables.ApiKey.id == int(key_id))
    kept = session.scalar(statement)
    # Found by its id and compared in constant time: how long it takes tells nothing of the secret's hash.
    if kept is None or not hmac.compare_digest(kept, _sha256(secret)):
        return None
    key = get_api_key(session, int(key_id))
    return key if is_usable(key) else None


def is_usable(key: ApiKey) -> bool:
    """Whether a key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > datetime.now(UTC))


def count_usable_keys(session: Session) -> int:
    """How many keys are neither revoked nor expired."""
    row = key_tables.ApiKey
    is_good = [row.revoked_at.is_(None), or_(row.expires_at.is_(None), row.expires_at > datetime.now(UTC))]
    return session.scalars(select(func.count()).select_from(row).where(*is_good)).one()


def note_use(session: Session, key_id: int) -> None:
    """Write down that a key is used now."""
    session.execute(
        update(key_tables.ApiKey).where(key_tables.ApiKey.id == key_id).values(last_used_at=datetime.now(UTC))
    )


def is_use_due(key: ApiKey) -> bool:
    """Whether the use of a key is to be written down again."""
    last = key.last_used_at
    return last is None or datetime.now(UTC) - last >= timedelta(seconds=SECONDS_BETWEEN_USES)


def _check(new: NewApiKey) -> None:
    for what, words in (("user's id", new.user_id), ("key's name", new.name)):
        check_plain_text(words)
        if words != words.strip() or len(words) > MAX_NAME_CHARS:
            raise InvalidInput(
                f"The {what} has blanks at its ends or more than {MAX_NAME_CHARS} characters; change it."
            )
    if not new.user_id:
        raise InvalidInput("A key needs the id of its user, which you choose.")
    if new.role not in get_args(Role):
        raise InvalidInput(f"The role {new.role!r} is unknown; it is {', '.join(get_args(Role))}.")
    for collection in new.collections or ():
        check_plain_text(collection)
        if not collection:
            raise InvalidInput("A collection has no name; write it.")
    if new.collections is not None and not new.collections:
        raise InvalidInput("A key for no collection opens nothing; name one, or leave collections out for all.")
    if new.role == "administrator" and (new.collections is not None or new.access_labels is not None):
        raise InvalidInput(
            "An administrator's key opens everything, since it could make another one that does; leave collections and "
            "access labels out, or choose another role."
        )
    for name, number, most in (
        ("rate_limit_per_minute", new.rate_limit_per_minute, MAX_PER_MINUTE),
        ("expires_in_days", new.expires_in_days, MAX_DAYS),
    ):
        if number is not None and not 1 <= number <= most:
            raise InvalidInput(f"{name} is {number}; it must be at least 1 and at most {most:,}.")


def _key(row: Row[Any]) -> ApiKey:
    collections, labels = row.collections, row.access_labels
    return ApiKey(
        **{
            **row._mapping,
            "role": cast(Role, row.role),
            "collections": None if collections is None else tuple(collections),
            "access_labels": None if labels is None else tuple(labels),
        }
    )


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
