"""Datasets: named, immutable versions of a collection; the version that an answer saw; origins in the answer log.

Logged passages and citations get the origin that their documents have now.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

VIEW_BEFORE = "0003"
"""The migration whose ``VIEW`` stood before this one."""

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)

VIEW = """
CREATE VIEW answer_review AS
SELECT
    answers.id AS answer_id,
    answers.created_at AS created_at,
    collections.name AS collection,
    answers.question AS question,
    answers.answer AS answer,
    answers.abstained AS abstained,
    answers.confidence AS confidence,
    (SELECT count(*) FROM citations WHERE citations.answer_id = answers.id) AS num_citations,
    first_citation.quote AS first_quote,
    first_citation.source AS first_source,
    first_citation.title AS first_title,
    (SELECT count(*) FROM answer_passages WHERE answer_passages.answer_id = answers.id) AS num_passages,
    (
        SELECT answer_scores.value FROM answer_scores
        WHERE answer_scores.answer_id = answers.id AND answer_scores.metric = 'answer_relevancy'
        ORDER BY answer_scores.created_at DESC, answer_scores.scorer DESC, answer_scores.scorer_version DESC
        LIMIT 1
    ) AS answer_relevancy,
    (
        SELECT answer_scores.value FROM answer_scores
        WHERE answer_scores.answer_id = answers.id AND answer_scores.metric = 'context_precision'
        ORDER BY answer_scores.created_at DESC, answer_scores.scorer DESC, answer_scores.scorer_version DESC
        LIMIT 1
    ) AS context_precision,
    last_feedback.rating AS rating,
    (SELECT count(*) FROM feedback WHERE feedback.answer_id = answers.id) AS num_feedback,
    last_feedback.comment AS comment,
    last_feedback.corrected_answer AS corrected_answer,
    answers.model AS model,
    answers.total_ms AS total_ms,
    datasets.name AS dataset,
    first_citation.origin AS first_origin,
    (
        SELECT count(*) FROM citations
        WHERE citations.answer_id = answers.id AND citations.origin = 'synthetic'
    ) AS num_synthetic_citations,
    (
        SELECT count(*) FROM answer_passages
        WHERE answer_passages.answer_id = answers.id AND answer_passages.origin = 'synthetic'
    ) AS num_synthetic_passages
FROM answers
JOIN collections ON collections.id = answers.collection_id
LEFT JOIN datasets ON datasets.id = answers.dataset_id
LEFT JOIN citations AS first_citation
    ON first_citation.answer_id = answers.id AND first_citation.ordinal = 1
LEFT JOIN feedback AS last_feedback
    ON last_feedback.id = (SELECT max(feedback.id) FROM feedback WHERE feedback.answer_id = answers.id)
WHERE answers.evaluation_run_id IS NULL
"""

NEVER_CHANGED = "a dataset is never changed or deleted"
NEEDS_ERASURE = "a document leaves a dataset only with an entry in dataset_erasures"
SQLITE_TRIGGER = """
CREATE TRIGGER {table}_refuse_{event} BEFORE {event} ON {table} {when}
BEGIN SELECT RAISE(ABORT, '{message}'); END
"""
SQLITE_WHEN_NOT_RECORDED = """
WHEN NOT EXISTS (
    SELECT 1 FROM dataset_erasures
    WHERE dataset_erasures.dataset_id = OLD.dataset_id AND dataset_erasures.document_id = OLD.document_id
)
"""
POSTGRESQL_FUNCTIONS = (
    f"""
CREATE FUNCTION refuse_dataset_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{NEVER_CHANGED}' USING ERRCODE = 'integrity_constraint_violation';
END
$$
""",
    f"""
CREATE FUNCTION refuse_unrecorded_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM dataset_erasures WHERE dataset_id = OLD.dataset_id AND document_id = OLD.document_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION '{NEEDS_ERASURE}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END
$$
""",
)
POSTGRESQL_TRIGGER = """
CREATE TRIGGER {table}_refuse_{event} BEFORE {event} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()
"""


def upgrade() -> None:
    """Make the tables with their triggers, and add the columns."""
    op.execute("DROP VIEW answer_review")
    _create_tables()
    sqlite = op.get_context().dialect.name == "sqlite"
    if sqlite:
        _create_sqlite_triggers()
    else:
        _create_postgresql_triggers()
    op.create_index(op.f("ix_documents_collection_id_updated_at"), "documents", ["collection_id", "updated_at"])
    _add_dataset_to_answers("INTEGER" if sqlite else "BIGINT")
    for table in ("answer_passages", "citations"):
        _add_origin(table)
    op.execute(VIEW)


def downgrade() -> None:
    """Drop all of it, with the datasets in it, and put the earlier view back."""
    op.execute("DROP VIEW answer_review")
    for table in ("citations", "answer_passages"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN origin")
    op.drop_index(op.f("ix_answers_dataset_id"), "answers")
    op.execute("ALTER TABLE answers DROP COLUMN dataset_id")
    op.drop_index(op.f("ix_documents_collection_id_updated_at"), "documents")
    for table in ("dataset_documents", "dataset_erasures", "datasets"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_unrecorded_erasure()")
        op.execute("DROP FUNCTION refuse_dataset_change()")
    op.execute(context.script.get_revision(VIEW_BEFORE).module.VIEW)


def _create_tables() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=True),
        sa.Column("index_change_id", INTEGER, nullable=False),
        sa.Column("num_documents", INTEGER, nullable=False),
        sa.Column("num_real", INTEGER, nullable=False),
        sa.Column("num_synthetic", INTEGER, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("num_documents = num_real + num_synthetic", name=op.f("ck_datasets_counts")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_datasets_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("collection_id", "name", name=op.f("uq_datasets_collection_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dataset_documents",
        sa.Column("dataset_id", INTEGER, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("document_version", INTEGER, nullable=False),
        sa.Column("text_sha256", TEXT, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.CheckConstraint("origin IN ('real', 'synthetic')", name=op.f("ck_dataset_documents_origin")),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_documents_dataset_id_datasets")),
        sa.PrimaryKeyConstraint("dataset_id", "source", name=op.f("pk_dataset_documents")),
    )
    op.create_table(
        "dataset_erasures",
        sa.Column("dataset_id", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_erasures_dataset_id_datasets")),
        sa.PrimaryKeyConstraint("dataset_id", "document_id", name=op.f("pk_dataset_erasures")),
    )


def _create_sqlite_triggers() -> None:
    for table in ("datasets", "dataset_documents", "dataset_erasures"):
        for event in ("update", "delete"):
            recorded = (table, event) == ("dataset_documents", "delete")
            op.execute(
                SQLITE_TRIGGER.format(
                    table=table,
                    event=event,
                    when=SQLITE_WHEN_NOT_RECORDED if recorded else "",
                    message=NEEDS_ERASURE if recorded else NEVER_CHANGED,
                )
            )


def _create_postgresql_triggers() -> None:
    for function in POSTGRESQL_FUNCTIONS:
        op.execute(function)
    for table in ("datasets", "dataset_documents", "dataset_erasures"):
        for event in ("update", "delete", "truncate"):
            recorded = (table, event) == ("dataset_documents", "delete")
            op.execute(
                POSTGRESQL_TRIGGER.format(
                    table=table,
                    event=event,
                    level="STATEMENT" if event == "truncate" else "ROW",
                    function="refuse_unrecorded_erasure" if recorded else "refuse_dataset_change",
                )
            )


def _add_dataset_to_answers(integer: str) -> None:
    # In plain SQL: SQLite takes a constraint with a new column, but Alembic would add it afterwards, for which SQLite
    # would have to copy the table.
    op.execute(
        f"ALTER TABLE answers ADD COLUMN dataset_id {integer} "
        "CONSTRAINT fk_answers_dataset_id_datasets REFERENCES datasets (id)"
    )
    op.create_index(op.f("ix_answers_dataset_id"), "answers", ["dataset_id"])


def _add_origin(table: str) -> None:
    op.execute(
        f"ALTER TABLE {table} ADD COLUMN origin TEXT DEFAULT 'real' NOT NULL "
        f"CONSTRAINT ck_{table}_origin CHECK (origin IN ('real', 'synthetic'))"
    )
    op.execute(
        f"UPDATE {table} SET origin = 'synthetic' "  # noqa: S608 - a table's name, from this file
        "WHERE document_id IN (SELECT id FROM documents WHERE origin = 'synthetic')"
    )
