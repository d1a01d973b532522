"""What became of each file of a run, the options of a run, and files found again by their content."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table, the columns and the index."""
    op.add_column("ingestion_runs", sa.Column("num_moved", INTEGER, nullable=False, server_default="0"))
    op.add_column("ingestion_runs", sa.Column("options", sa.JSON(), nullable=True))
    op.create_index(op.f("ix_documents_collection_id_file_sha256"), "documents", ["collection_id", "file_sha256"])
    op.create_table(
        "ingestion_files",
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("num_documents", INTEGER, nullable=False),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "status IN ('waiting', 'read', 'partly read', 'unchanged', 'refused')",
            name=op.f("ck_ingestion_files_status"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["ingestion_runs.id"], name=op.f("fk_ingestion_files_run_id_ingestion_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "file", name=op.f("pk_ingestion_files")),
    )
    op.create_index(op.f("ix_ingestion_files_run_id_status"), "ingestion_files", ["run_id", "status"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("ingestion_files")
    op.drop_index(op.f("ix_documents_collection_id_file_sha256"), "documents")
    op.drop_column("ingestion_runs", "options")
    op.drop_column("ingestion_runs", "num_moved")
