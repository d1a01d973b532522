"""The tables, as the newest migration leaves them. Nothing outside ``rag.store`` sees these classes.

Column names are the words of JSON and Python, but for character ranges: ``end`` is a reserved word of SQL, so the
columns are ``start_char`` and ``end_char``. They count Unicode code points, end exclusive.

Ids are never used twice, not even after a deletion: PostgreSQL's sequences do that by themselves, SQLite needs
AUTOINCREMENT. An index entry, a citation or a bookmark can thus never come to mean something else.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.conversation_tables import AnswerContextDocument as AnswerContextDocument
from rag.store.conversation_tables import Conversation as Conversation
from rag.store.dataset_tables import Dataset as Dataset  # so that whoever knows these tables knows those as well
from rag.store.encryption import EncryptedText
from rag.store.key_tables import ApiKey as ApiKey
from rag.store.model_tables import Model as Model
from rag.store.model_tables import ModelFile as ModelFile
from rag.store.model_tables import ModelFilePart as ModelFilePart
from rag.store.run_tables import EvaluationResult as EvaluationResult
from rag.store.run_tables import EvaluationRun as EvaluationRun
from rag.store.run_tables import IngestionFailure as IngestionFailure
from rag.store.run_tables import IngestionFile as IngestionFile
from rag.store.run_tables import IngestionRun as IngestionRun
from rag.store.run_tables import TrainingPoint as TrainingPoint
from rag.store.run_tables import TrainingRun as TrainingRun
from rag.store.table_conventions import NEVER_REUSE_IDS, WITHOUT_ROWID, Id
from rag.store.table_conventions import Base as Base  # those who compare the tables with a database find it here
from rag.store.upload_tables import IdempotencyKey as IdempotencyKey
from rag.store.upload_tables import Upload as Upload

RANGE = "start_char >= 0 AND end_char > start_char"
PLACE = 'page >= 1 AND "row" >= 1'
ORIGIN = "origin IN ('real', 'synthetic')"


class Collection(Base):
    """A named body of documents with the embedding model that its vectors come from."""

    __tablename__ = "collections"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    embedding_model: Mapped[str]
    revision: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime]


class Document(Base):
    """A document as it stands now; its text is in ``document_versions``. Deleting only sets ``deleted_at``."""

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("collection_id", "source"),
        Index(None, "collection_id", "text_sha256"),
        Index(None, "collection_id", "file"),
        Index(None, "collection_id", "file_sha256"),
        Index(None, "collection_id", "updated_at"),
        CheckConstraint(ORIGIN, name="origin"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("duplicate_of <> id AND near_duplicate_of <> id", name="not_its_own_duplicate"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    source: Mapped[str]
    file: Mapped[str]
    file_sha256: Mapped[str]
    title: Mapped[str]
    media_type: Mapped[str]
    origin: Mapped[str]
    access_labels: Mapped[list[str]] = mapped_column(server_default="[]")
    tags: Mapped[dict[str, str]]
    # ``metadata`` is a name that SQLAlchemy keeps for itself.
    document_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    version: Mapped[int]
    text_sha256: Mapped[str]
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("documents.id"), index=True)
    near_duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("documents.id"), index=True)
    signature: Mapped[bytes | None]
    pipeline: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class DocumentAttribute(Base):
    """A tag or a metadata value of a document, for filters: as text, and as number or moment where it is one."""

    __tablename__ = "document_attributes"
    __table_args__ = (
        Index(None, "name", "text", "document_id"),
        Index(None, "name", "number", "document_id"),
        Index(None, "name", "moment", "document_id"),
    )

    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    is_tag: Mapped[bool] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    number: Mapped[float | None]
    moment: Mapped[datetime | None]


class DocumentAccessLabel(Base):
    """A label that opens a document to those who hold it. A document without any is open to all."""

    __tablename__ = "document_access_labels"
    __table_args__ = (Index(None, "label", "document_id"),)

    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)


class DocumentVersion(Base):
    """The words of one version of a document. Normal work never deletes one: citations verify against it."""

    __tablename__ = "document_versions"
    __table_args__ = (
        UniqueConstraint("document_id", "version"),
        CheckConstraint("version >= 1", name="version"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    version: Mapped[int]
    title: Mapped[str]
    text: Mapped[str]
    sections: Mapped[list[dict[str, Any]]]
    text_sha256: Mapped[str]
    created_at: Mapped[datetime]


class NearDuplicateBand(Base):
    """A piece of the MinHash signature of a document that others may repeat; see ``rag.store.near_duplicates``."""

    __tablename__ = "near_duplicate_bands"
    __table_args__ = WITHOUT_ROWID

    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), primary_key=True)
    band_hash: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)


class Passage(Base):
    """A passage that can be found now. Passages of older versions are deleted; ``answer_passages`` keeps their text.

    ``is_repeated`` marks words that stand in many documents; see ``rag.store.repeated_passages``.
    """

    __tablename__ = "passages"
    __table_args__ = (
        UniqueConstraint("document_id", "document_version", "ordinal"),
        Index(None, "text_sha256", "is_repeated", "document_id"),
        CheckConstraint("ordinal >= 0 AND num_tokens >= 0", name="counts"),
        CheckConstraint(RANGE, name="range"),
        CheckConstraint(PLACE, name="place"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    document_version: Mapped[int]
    ordinal: Mapped[int]
    start_char: Mapped[int]
    end_char: Mapped[int]
    text: Mapped[str]
    page: Mapped[int | None]
    row: Mapped[int | None]
    headings: Mapped[list[str]]
    num_tokens: Mapped[int]
    text_sha256: Mapped[str | None]
    is_repeated: Mapped[bool] = mapped_column(server_default=false())


class PassageEmbedding(Base):
    """A passage's vector under one embedding model: float16, little endian, one value after the other.

    ``embedded_sha256`` is the hash of exactly what was embedded, context line and all; null where it is not known.
    Passages of the same hash have the same vector, which is made once.
    """

    __tablename__ = "passage_embeddings"
    __table_args__ = (Index(None, "embedded_sha256", "passage_id"),)

    passage_id: Mapped[int] = mapped_column(ForeignKey("passages.id", ondelete="CASCADE"), primary_key=True)
    embedding_model: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[bytes]
    embedded_sha256: Mapped[str | None]


class SharedVector(Base):
    """The vector of the words of a repeated passage under one model, of which those of its documents are made."""

    __tablename__ = "shared_vectors"

    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), primary_key=True)
    embedding_model: Mapped[str] = mapped_column(primary_key=True)
    embedded_sha256: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[bytes]


class EmbeddingGeneration(Base):
    """A collection's passages under one embedding model; ``collections.embedding_model`` names the active one."""

    __tablename__ = "embedding_generations"
    __table_args__ = (CheckConstraint("status IN ('building', 'active', 'kept')", name="status"),)

    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), primary_key=True)
    embedding_model: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]


class IndexChange(Base):
    """What entered or left the index, in order. Rows are only ever appended; ``passage_id`` may be long gone."""

    __tablename__ = "index_changes"
    __table_args__ = (
        Index(None, "collection_id", "id"),
        CheckConstraint("operation IN ('add', 'remove')", name="operation"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"))
    passage_id: Mapped[int]
    operation: Mapped[str]
    created_at: Mapped[datetime]


class Answer(Base):
    """One answered question, with everything that is needed to run it again."""

    __tablename__ = "answers"
    __table_args__ = (
        CheckConstraint("confidence >= 0 AND confidence <= 1", name="confidence"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), index=True)
    question: Mapped[str] = mapped_column(EncryptedText())
    answer: Mapped[str] = mapped_column(EncryptedText())
    abstained: Mapped[bool]
    confidence: Mapped[float]
    model: Mapped[str]
    model_sha256: Mapped[str | None]
    embedding_model: Mapped[str]
    index_change_id: Mapped[int]
    settings: Mapped[dict[str, Any]]
    embed_ms: Mapped[float | None]
    retrieve_ms: Mapped[float | None]
    rerank_ms: Mapped[float | None]
    read_ms: Mapped[float | None]
    score_ms: Mapped[float | None]
    total_ms: Mapped[float | None]
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    evaluation_run_id: Mapped[int | None] = mapped_column(ForeignKey("evaluation_runs.id"), index=True)
    user_id: Mapped[str | None] = mapped_column(index=True)
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversations.id"), index=True)
    # No foreign keys: an answer may be deleted before those that followed it.
    previous_answer_id: Mapped[int | None]
    based_on_answer_id: Mapped[int | None]
    standalone_question: Mapped[str | None] = mapped_column(EncryptedText())
    created_at: Mapped[datetime] = mapped_column(index=True)


class AnswerAccessLabel(Base):
    """A label that the asker of an answer held; ``*`` for one who saw all documents."""

    __tablename__ = "answer_access_labels"

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)


class AnswerPassage(Base):
    """A passage that the generator was shown, copied whole.

    ``passage_id`` and ``document_id`` are no foreign keys: the log outlives what it speaks of.
    """

    __tablename__ = "answer_passages"
    __table_args__ = (
        CheckConstraint("rank >= 1", name="rank"),
        CheckConstraint(RANGE, name="range"),
        CheckConstraint(PLACE, name="place"),
        CheckConstraint(ORIGIN, name="origin"),
    )

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True)
    passage_id: Mapped[int]
    document_id: Mapped[int]
    document_version: Mapped[int]
    title: Mapped[str]
    source: Mapped[str]
    origin: Mapped[str] = mapped_column(server_default="real")
    headings: Mapped[list[str]]
    page: Mapped[int | None]
    row: Mapped[int | None]
    start_char: Mapped[int]
    end_char: Mapped[int]
    text: Mapped[str] = mapped_column(EncryptedText())
    keyword_score: Mapped[float | None]
    vector_score: Mapped[float | None]
    fused_score: Mapped[float | None]
    relevance_score: Mapped[float | None]
    keyword_rank: Mapped[int | None]
    vector_rank: Mapped[int | None]
    near_duplicate_of: Mapped[int | None]
    also_in: Mapped[list[dict[str, Any]]]


class Citation(Base):
    """The exact characters that an answer rests on: ``quote == version.text[start_char:end_char]``."""

    __tablename__ = "citations"
    __table_args__ = (
        CheckConstraint("ordinal >= 1", name="ordinal"),
        CheckConstraint(RANGE, name="range"),
        CheckConstraint(PLACE, name="place"),
        CheckConstraint(ORIGIN, name="origin"),
    )

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    passage_id: Mapped[int]
    document_id: Mapped[int]
    document_version: Mapped[int]
    title: Mapped[str]
    source: Mapped[str]
    origin: Mapped[str] = mapped_column(server_default="real")
    page: Mapped[int | None]
    row: Mapped[int | None]
    start_char: Mapped[int]
    end_char: Mapped[int]
    quote: Mapped[str] = mapped_column(EncryptedText())


class AnswerScore(Base):
    """One quality score of an answer, by one version of one scorer."""

    __tablename__ = "answer_scores"

    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    scorer: Mapped[str] = mapped_column(primary_key=True)
    scorer_version: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class Feedback(Base):
    """What a person said of an answer. Later rows do not replace earlier ones; views show the last.

    ``is_review`` marks the judgement of a reviewer, as against the thumb of whoever asked. ``wrong_passage_id`` is the
    passage shown with the answer that should not have been; it is no foreign key, since the log outlives passages.
    """

    __tablename__ = "feedback"
    __table_args__ = (
        CheckConstraint("rating IN (-1, 1)", name="rating"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), index=True)
    rating: Mapped[int]
    comment: Mapped[str | None] = mapped_column(EncryptedText())
    corrected_answer: Mapped[str | None] = mapped_column(EncryptedText())
    wrong_passage_id: Mapped[int | None]
    is_review: Mapped[bool] = mapped_column(server_default=false())
    user_id: Mapped[str | None]
    created_at: Mapped[datetime]
