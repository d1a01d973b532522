"""The tables of datasets: what a collection held at one moment, under a name.

Triggers that the migrations make refuse every update of these rows and every deletion but one: a row of
``dataset_documents`` for which ``dataset_erasures`` has an entry. Only a dataset that is still a draft may be changed
and deleted. They guard against mistakes of programs and people, not against somebody who may change the schema.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.table_conventions import NEVER_REUSE_IDS, Base, Id


class Dataset(Base):
    """A named, immutable version of a collection.

    ``sha256`` is taken over the documents' sources and hashes. ``index_change_id`` is the collection's last index
    change then, 0 if there was none.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("collection_id", "name"),
        CheckConstraint("num_documents = num_real + num_synthetic", name="counts"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    name: Mapped[str]
    note: Mapped[str | None]
    index_change_id: Mapped[int]
    num_documents: Mapped[int]
    num_real: Mapped[int]
    num_synthetic: Mapped[int]
    sha256: Mapped[str]
    created_at: Mapped[datetime]


class DatasetDocument(Base):
    """A document that a dataset holds, as it stood then. Exact duplicates are documents too.

    ``document_id`` is no foreign key, as in the answer log: the record outlives what it speaks of.
    """

    __tablename__ = "dataset_documents"
    __table_args__ = (CheckConstraint("origin IN ('real', 'synthetic')", name="origin"),)

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    document_id: Mapped[int]
    document_version: Mapped[int]
    text_sha256: Mapped[str]
    origin: Mapped[str]


class DatasetErasure(Base):
    """Leave to delete a document's row of a dataset, and the record that this was done. It keeps no word of it."""

    __tablename__ = "dataset_erasures"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    document_id: Mapped[int] = mapped_column(primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[datetime]


class DatasetDraft(Base):
    """A dataset whose documents are still being written, or were when a process died: for nobody to see."""

    __tablename__ = "dataset_drafts"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
