"""The tables of the model registry: what each model consists of, and the bytes of what is kept here."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.table_conventions import NEVER_REUSE_IDS, Base, Id


class Model(Base):
    """One version of a model; it never changes. ``sha256`` is that of its files' hashes and names.

    The reader activated last is the one that answers where no setting names another. The row of a removed model stays,
    with those of its files, so that the log can still tell what answered.
    """

    __tablename__ = "models"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("kind IN ('reader', 'embedding', 'language')", name="kind"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("activated_at IS NULL OR (kind = 'reader' AND removed_at IS NULL)", name="activated_at"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    name: Mapped[str]
    version: Mapped[int]
    kind: Mapped[str]
    sha256: Mapped[str]
    note: Mapped[str | None]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]


class ModelFile(Base):
    """A file of a model. ``uri`` says where its bytes are; null: in ``model_file_parts``."""

    __tablename__ = "model_files"
    __table_args__ = (
        UniqueConstraint("model_id", "path"),
        CheckConstraint("num_bytes >= 0", name="num_bytes"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    path: Mapped[str]
    num_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(index=True)
    uri: Mapped[str | None]


class ModelFilePart(Base):
    """A piece of a file's bytes, short enough to be read and copied without holding the whole file in memory."""

    __tablename__ = "model_file_parts"
    __table_args__ = (CheckConstraint("ordinal >= 0", name="ordinal"),)

    file_id: Mapped[int] = mapped_column(ForeignKey("model_files.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]
