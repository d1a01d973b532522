"""The tables of runs: ingestions, evaluations and trainings, with what came of each."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from rag.store.encryption import EncryptedText
from rag.store.table_conventions import NEVER_REUSE_IDS, Base, Id


class IngestionRun(Base):
    """One call of the ingestion command and what came of it."""

    __tablename__ = "ingestion_runs"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'finished', 'failed', 'interrupted')", name="status"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), index=True)
    paths: Mapped[list[str]]
    status: Mapped[str]
    num_added: Mapped[int]
    num_updated: Mapped[int]
    num_unchanged: Mapped[int]
    num_exact_duplicates: Mapped[int]
    num_near_duplicates: Mapped[int]
    num_refused: Mapped[int]
    num_removed: Mapped[int]
    num_moved: Mapped[int] = mapped_column(server_default="0")
    num_passages: Mapped[int]
    num_passages_reused: Mapped[int] = mapped_column(server_default="0")
    options: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class IngestionFile(Base):
    """How far the last run over files of a collection is with each of them."""

    __tablename__ = "ingestion_files"
    __table_args__ = (
        Index(None, "run_id", "status"),
        CheckConstraint(
            "status IN ('waiting', 'read', 'partly read', 'unchanged', 'refused')",
            name="status",
        ),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("ingestion_runs.id", ondelete="CASCADE"), primary_key=True)
    file: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    num_documents: Mapped[int]
    reason: Mapped[str | None]
    updated_at: Mapped[datetime]


class IngestionFailure(Base):
    """What a run refused and exactly why."""

    __tablename__ = "ingestion_failures"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ForeignKey("ingestion_runs.id", ondelete="CASCADE"), index=True)
    source: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]


class EvaluationRun(Base):
    """One evaluation of a file of questions; ``metrics`` is null until it has finished."""

    __tablename__ = "evaluation_runs"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[Id]
    file: Mapped[str]
    file_sha256: Mapped[str]
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id"), index=True)
    settings: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class EvaluationResult(Base):
    """One question of an evaluation. ``gold_rank`` is the rank of the passage that held the answer, if it was found.

    What follows ``abstained`` is what the metrics are made of; it is null in rows that older versions wrote.
    ``exact_match`` and ``f1`` are those of the run, with abstention or without.
    """

    __tablename__ = "evaluation_results"
    __table_args__ = (
        Index(None, "run_id", "ordinal", unique=True),
        CheckConstraint("exact_match >= 0 AND exact_match <= 1 AND f1 >= 0 AND f1 <= 1", name="scores"),
        CheckConstraint("gold_rank >= 1", name="gold_rank"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ForeignKey("evaluation_runs.id", ondelete="CASCADE"), index=True)
    question_id: Mapped[str]
    question: Mapped[str] = mapped_column(EncryptedText())
    reference_answers: Mapped[list[str]]
    prediction: Mapped[str] = mapped_column(EncryptedText())
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("answers.id", ondelete="SET NULL"), index=True)
    exact_match: Mapped[float]
    f1: Mapped[float]
    gold_rank: Mapped[int | None]
    abstained: Mapped[bool]
    ordinal: Mapped[int | None]
    article: Mapped[str | None]
    model: Mapped[str | None]
    confidence: Mapped[float | None]
    abstention_score: Mapped[float | None]
    always_answering_exact_match: Mapped[float | None]
    always_answering_f1: Mapped[float | None]
    with_abstention_exact_match: Mapped[float | None]
    with_abstention_f1: Mapped[float | None]
    withheld_exact_match: Mapped[float | None]
    withheld_f1: Mapped[float | None]
    reranked_gold_rank: Mapped[int | None]
    num_citations: Mapped[int | None]
    num_verified_citations: Mapped[int | None]
    timings_ms: Mapped[dict[str, Any] | None]


class TrainingRun(Base):
    """One training of a model, from its settings to the hash of its weights.

    A run that was killed stays ``running``, with the step and the moment of its last report; resuming goes on with the
    same row, found by ``run_key``, and counts ``num_starts``.
    """

    __tablename__ = "training_runs"
    __table_args__ = (
        CheckConstraint("status IN ('running', 'finished', 'failed', 'interrupted')", name="status"),
        CheckConstraint("step >= 0 AND num_steps >= 0 AND num_starts >= 1", name="counts"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[Id]
    run_key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    status: Mapped[str]
    settings: Mapped[dict[str, Any]]
    seed: Mapped[int]
    data_files: Mapped[list[dict[str, Any]]]
    code_version: Mapped[str]
    machine: Mapped[dict[str, Any]]
    folder: Mapped[str]
    step: Mapped[int]
    num_steps: Mapped[int]
    num_starts: Mapped[int]
    scores: Mapped[dict[str, Any] | None]
    weights_path: Mapped[str | None]
    weights_sha256: Mapped[str | None]
    started_at: Mapped[datetime]
    reported_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class TrainingPoint(Base):
    """One value of one curve: a metric of a training run at a step. Steps are counted as they are finished."""

    __tablename__ = "training_points"
    __table_args__ = (CheckConstraint("step >= 0", name="step"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float]
