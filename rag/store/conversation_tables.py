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


class AnswerContextDocument(Base):
    """A document that earlier answers were read from, by which a question was understood.

    Its words may be in ``answers.standalone_question``, so who may not see it may not see the answer either.
    ``document_id`` is no foreign key: the log outlives what it speaks of.
    """

    __tablename__ = "answer_context_documents"

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    document_id: Mapped[int] = mapped_column(primary_key=True)
