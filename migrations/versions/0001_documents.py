"""Collections, documents, passages and the runs that read them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON()


def upgrade() -> None:
    """Make the tables."""
    _create_documents()
    _create_versions()
    _create_passages()
    _create_ingestion_runs()


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.drop_table("ingestion_failures")
    op.drop_table("ingestion_runs")
    op.drop_table("index_changes")
    op.drop_table("passage_embeddings")
    op.drop_table("passages")
    op.drop_table("document_versions")
    op.drop_table("documents")
    op.drop_table("collections")


def _create_documents() -> None:
    op.create_table(
        "collections",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("embedding_model", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("name", name=op.f("uq_collections_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "documents",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("file_sha256", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("version", INTEGER, nullable=False),
        sa.Column("text_sha256", TEXT, nullable=False),
        sa.Column("duplicate_of", INTEGER, nullable=True),
        sa.Column("near_duplicate_of", INTEGER, nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("pipeline", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.CheckConstraint("origin IN ('real', 'synthetic')", name=op.f("ck_documents_origin")),
        sa.CheckConstraint(
            "duplicate_of <> id AND near_duplicate_of <> id", name=op.f("ck_documents_not_its_own_duplicate")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_documents_version")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_documents_collection_id_collections")
        ),
        sa.ForeignKeyConstraint(["duplicate_of"], ["documents.id"], name=op.f("fk_documents_duplicate_of_documents")),
        sa.ForeignKeyConstraint(
            ["near_duplicate_of"], ["documents.id"], name=op.f("fk_documents_near_duplicate_of_documents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint("collection_id", "source", name=op.f("uq_documents_collection_id_source")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_documents_collection_id_file"), "documents", ["collection_id", "file"])
    op.create_index(op.f("ix_documents_collection_id_text_sha256"), "documents", ["collection_id", "text_sha256"])
    op.create_index(op.f("ix_documents_duplicate_of"), "documents", ["duplicate_of"])
    op.create_index(op.f("ix_documents_near_duplicate_of"), "documents", ["near_duplicate_of"])


def _create_versions() -> None:
    op.create_table(
        "document_versions",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("version", INTEGER, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("sections", JSON, nullable=False),
        sa.Column("text_sha256", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_document_versions_version")),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_document_versions_document_id_documents")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document_versions")),
        sa.UniqueConstraint("document_id", "version", name=op.f("uq_document_versions_document_id_version")),
        sqlite_autoincrement=True,
    )


def _create_passages() -> None:
    op.create_table(
        "passages",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("document_version", INTEGER, nullable=False),
        sa.Column("ordinal", INTEGER, nullable=False),
        sa.Column("start_char", INTEGER, nullable=False),
        sa.Column("end_char", INTEGER, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("page", INTEGER, nullable=True),
        sa.Column("row", INTEGER, nullable=True),
        sa.Column("headings", JSON, nullable=False),
        sa.Column("num_tokens", INTEGER, nullable=False),
        sa.CheckConstraint("ordinal >= 0 AND num_tokens >= 0", name=op.f("ck_passages_counts")),
        sa.CheckConstraint('page >= 1 AND "row" >= 1', name=op.f("ck_passages_place")),
        sa.CheckConstraint("start_char >= 0 AND end_char > start_char", name=op.f("ck_passages_range")),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name=op.f("fk_passages_document_id_documents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passages")),
        sa.UniqueConstraint(
            "document_id", "document_version", "ordinal", name=op.f("uq_passages_document_id_document_version_ordinal")
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "passage_embeddings",
        sa.Column("passage_id", INTEGER, nullable=False),
        sa.Column("embedding_model", TEXT, nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["passage_id"], ["passages.id"], name=op.f("fk_passage_embeddings_passage_id_passages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("passage_id", "embedding_model", name=op.f("pk_passage_embeddings")),
    )
    op.create_table(
        "index_changes",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("passage_id", INTEGER, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("operation IN ('add', 'remove')", name=op.f("ck_index_changes_operation")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_index_changes_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_index_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_index_changes_collection_id_id"), "index_changes", ["collection_id", "id"])


def _create_ingestion_runs() -> None:
    op.create_table(
        "ingestion_runs",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("paths", JSON, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("num_added", INTEGER, nullable=False),
        sa.Column("num_updated", INTEGER, nullable=False),
        sa.Column("num_unchanged", INTEGER, nullable=False),
        sa.Column("num_exact_duplicates", INTEGER, nullable=False),
        sa.Column("num_near_duplicates", INTEGER, nullable=False),
        sa.Column("num_refused", INTEGER, nullable=False),
        sa.Column("num_removed", INTEGER, nullable=False),
        sa.Column("num_passages", INTEGER, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('running', 'finished', 'failed', 'interrupted')", name=op.f("ck_ingestion_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_ingestion_runs_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingestion_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ingestion_runs_collection_id"), "ingestion_runs", ["collection_id"])
    op.create_table(
        "ingestion_failures",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["ingestion_runs.id"],
            name=op.f("fk_ingestion_failures_run_id_ingestion_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingestion_failures")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ingestion_failures_run_id"), "ingestion_failures", ["run_id"])
