"""The tables behind uploads: those that are worked on in the background, and answers to keys that came before."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.table_conventions import Base


class Upload(Base):
    """An upload that is worked on in the background; ``spool_file`` is null once that is done.

    ``spool`` names the folder of the machine that has the file, and ``visible_to`` those who may follow the run.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        Index(None, "spool", "spool_file"),
        CheckConstraint("num_attempts >= 0 AND num_bytes >= 0", name="counts"),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("ingestion_runs.id", ondelete="CASCADE"), primary_key=True)
    spool: Mapped[str]
    spool_file: Mapped[str | None]
    file_sha256: Mapped[str]
    num_bytes: Mapped[int]
    name: Mapped[str]
    labels: Mapped[dict[str, Any]]
    visible_to: Mapped[str]
    num_attempts: Mapped[int]
    created_at: Mapped[datetime]


class IdempotencyKey(Base):
    """A key that a client sent with a request, and what it was told; ``status_code`` is null while it is worked on."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "expires_at"),)

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    status_code: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[str | None]
    claimed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
