"""The answer log, feedback and evaluations."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON()
FLOAT: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Make the tables."""
    _create_evaluation_runs()
    _create_answers()
    _create_answer_passages()
    _create_citations()
    _create_answer_scores()
    _create_feedback()
    _create_evaluation_results()


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.drop_table("evaluation_results")
    op.drop_table("feedback")
    op.drop_table("answer_scores")
    op.drop_table("citations")
    op.drop_table("answer_passages")
    op.drop_table("answers")
    op.drop_table("evaluation_runs")


def _create_evaluation_runs() -> None:
    op.create_table(
        "evaluation_runs",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("file_sha256", TEXT, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("metrics", JSON, nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_evaluation_runs_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_evaluation_runs_collection_id"), "evaluation_runs", ["collection_id"])


def _create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("question", TEXT, nullable=False),
        sa.Column("answer", TEXT, nullable=False),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.Column("confidence", FLOAT, nullable=False),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("model_sha256", TEXT, nullable=True),
        sa.Column("embedding_model", TEXT, nullable=False),
        sa.Column("index_change_id", INTEGER, nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("embed_ms", FLOAT, nullable=True),
        sa.Column("retrieve_ms", FLOAT, nullable=True),
        sa.Column("read_ms", FLOAT, nullable=True),
        sa.Column("score_ms", FLOAT, nullable=True),
        sa.Column("total_ms", FLOAT, nullable=True),
        sa.Column("evaluation_run_id", INTEGER, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_answers_confidence")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_answers_collection_id_collections")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_run_id"], ["evaluation_runs.id"], name=op.f("fk_answers_evaluation_run_id_evaluation_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_answers_collection_id"), "answers", ["collection_id"])
    op.create_index(op.f("ix_answers_created_at"), "answers", ["created_at"])
    op.create_index(op.f("ix_answers_evaluation_run_id"), "answers", ["evaluation_run_id"])


def _create_answer_passages() -> None:
    op.create_table(
        "answer_passages",
        sa.Column("answer_id", INTEGER, nullable=False),
        sa.Column("rank", INTEGER, nullable=False),
        sa.Column("passage_id", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("document_version", INTEGER, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("headings", JSON, nullable=False),
        sa.Column("page", INTEGER, nullable=True),
        sa.Column("row", INTEGER, nullable=True),
        sa.Column("start_char", INTEGER, nullable=False),
        sa.Column("end_char", INTEGER, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("keyword_score", FLOAT, nullable=True),
        sa.Column("vector_score", FLOAT, nullable=True),
        sa.Column("fused_score", FLOAT, nullable=True),
        sa.Column("relevance_score", FLOAT, nullable=True),
        sa.Column("near_duplicate_of", INTEGER, nullable=True),
        sa.Column("also_in", JSON, nullable=False),
        sa.CheckConstraint('page >= 1 AND "row" >= 1', name=op.f("ck_answer_passages_place")),
        sa.CheckConstraint("rank >= 1", name=op.f("ck_answer_passages_rank")),
        sa.CheckConstraint("start_char >= 0 AND end_char > start_char", name=op.f("ck_answer_passages_range")),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_answer_passages_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "rank", name=op.f("pk_answer_passages")),
    )


def _create_citations() -> None:
    op.create_table(
        "citations",
        sa.Column("answer_id", INTEGER, nullable=False),
        sa.Column("ordinal", INTEGER, nullable=False),
        sa.Column("passage_id", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("document_version", INTEGER, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("page", INTEGER, nullable=True),
        sa.Column("row", INTEGER, nullable=True),
        sa.Column("start_char", INTEGER, nullable=False),
        sa.Column("end_char", INTEGER, nullable=False),
        sa.Column("quote", TEXT, nullable=False),
        sa.CheckConstraint("ordinal >= 1", name=op.f("ck_citations_ordinal")),
        sa.CheckConstraint('page >= 1 AND "row" >= 1', name=op.f("ck_citations_place")),
        sa.CheckConstraint("start_char >= 0 AND end_char > start_char", name=op.f("ck_citations_range")),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_citations_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "ordinal", name=op.f("pk_citations")),
    )


def _create_answer_scores() -> None:
    op.create_table(
        "answer_scores",
        sa.Column("answer_id", INTEGER, nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column("value", FLOAT, nullable=False),
        sa.Column("scorer", TEXT, nullable=False),
        sa.Column("scorer_version", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_answer_scores_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "metric", "scorer", "scorer_version", name=op.f("pk_answer_scores")),
    )


def _create_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("answer_id", INTEGER, nullable=False),
        sa.Column("rating", INTEGER, nullable=False),
        sa.Column("comment", TEXT, nullable=True),
        sa.Column("corrected_answer", TEXT, nullable=True),
        sa.Column("user_id", TEXT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("rating IN (-1, 1)", name=op.f("ck_feedback_rating")),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_feedback_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_feedback_answer_id"), "feedback", ["answer_id"])


def _create_evaluation_results() -> None:
    op.create_table(
        "evaluation_results",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("question_id", TEXT, nullable=False),
        sa.Column("question", TEXT, nullable=False),
        sa.Column("reference_answers", JSON, nullable=False),
        sa.Column("prediction", TEXT, nullable=False),
        sa.Column("answer_id", INTEGER, nullable=True),
        sa.Column("exact_match", FLOAT, nullable=False),
        sa.Column("f1", FLOAT, nullable=False),
        sa.Column("gold_rank", INTEGER, nullable=True),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "exact_match >= 0 AND exact_match <= 1 AND f1 >= 0 AND f1 <= 1", name=op.f("ck_evaluation_results_scores")
        ),
        sa.CheckConstraint("gold_rank >= 1", name=op.f("ck_evaluation_results_gold_rank")),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_evaluation_results_answer_id_answers"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["evaluation_runs.id"],
            name=op.f("fk_evaluation_results_run_id_evaluation_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_results")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_evaluation_results_answer_id"), "evaluation_results", ["answer_id"])
    op.create_index(op.f("ix_evaluation_results_run_id"), "evaluation_results", ["run_id"])
