"""The tables of who may do what: users, their API keys, the sign-ins made with these, and what is audited."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.table_conventions import NEVER_REUSE_IDS, Base, Id


class User(Base):
    """Somebody who has or had an API key. The administrator chooses the id."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class ApiKey(Base):
    """An API key, with the SHA-256 of its secret. Where ``collections`` or ``access_labels`` are null, it opens all."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("role IN ('reader', 'contributor', 'reviewer', 'administrator')", name="role"),
        CheckConstraint("rate_limit_per_minute >= 1", name="rate_limit_per_minute"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    secret_sha256: Mapped[str]
    role: Mapped[str]
    collections: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    access_labels: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    rate_limit_per_minute: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SignIn(Base):
    """A sign-in on the pages, made with an API key and good as long as that one is. Of its secret only the SHA-256."""

    __tablename__ = "sign_ins"

    secret_sha256: Mapped[str] = mapped_column(primary_key=True)
    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class AuditEvent(Base):
    """An administrative act, or a look at what others have asked. ``target`` is the id of what it was done to.

    User and key are no foreign keys: the record outlives what it speaks of.
    """

    __tablename__ = "audit_events"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[Id]
    created_at: Mapped[datetime] = mapped_column(index=True)
    user_id: Mapped[str | None] = mapped_column(index=True)
    api_key_id: Mapped[int | None]
    action: Mapped[str]
    target: Mapped[str | None]
    details: Mapped[dict[str, Any]]
    request_id: Mapped[str | None]
