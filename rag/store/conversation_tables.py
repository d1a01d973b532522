"""The table of conversations: questions that are asked after one another, each in view of those before it."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.table_conventions import NEVER_REUSE_IDS, Base, Id


class Conversation(Base):
    """A conversation, made with its first answer, of whose collection it is. ``answers`` point to it.

    ``user_id`` is whose it is; null where callers are not told apart.
    """

    __tablename__ = "conversations"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), index=True)
    user_id: Mapped[str | None] = mapped_column(index=True)
    created_at: Mapped[datetime]
