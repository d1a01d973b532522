"""Sign-ins on the pages: a cookie's random secret stands for an API key, until it ends or the key does."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from rag.store.api_keys import NUM_SECRET_BYTES, ApiKey, get_api_key, is_usable
from rag.store.key_tables import SignIn


def create_sign_in(session: Session, key_id: int, *, hours: float) -> tuple[str, datetime]:
    """Sign in with a key; returns the secret, which is kept as its SHA-256 only, and when it ends.

    Those that have ended are forgotten on this occasion.
    """
    now = datetime.now(UTC)
    session.execute(delete(SignIn).where(SignIn.expires_at <= now))
    secret, expires_at = secrets.token_urlsafe(NUM_SECRET_BYTES), now + timedelta(hours=hours)
    session.execute(
        insert(SignIn),
        {"secret_sha256": _sha256(secret), "api_key_id": key_id, "created_at": now, "expires_at": expires_at},
    )
    return secret, expires_at


def find_signed_in_key(session: Session, secret: str) -> ApiKey | None:
    """The key that was signed in with, or None where the sign-in is none, has ended, or its key is not usable."""
    # Found by its hash: how long that takes tells nothing of a secret that is not known already.
    statement = select(SignIn.api_key_id).where(
        SignIn.secret_sha256 == _sha256(secret), SignIn.expires_at > datetime.now(UTC)
    )
    key_id = session.scalar(statement)
    if key_id is None:
        return None
    key = get_api_key(session, key_id)
    return key if is_usable(key) else None


def delete_sign_in(session: Session, secret: str) -> None:
    """Sign out."""
    session.execute(delete(SignIn).where(SignIn.secret_sha256 == _sha256(secret)))


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
