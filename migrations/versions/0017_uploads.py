"""Uploads that are worked on in the background, and keys that make a repeated upload harmless."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "uploads",
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("spool", TEXT, nullable=False),
        sa.Column("spool_file", TEXT, nullable=True),
        sa.Column("file_sha256", TEXT, nullable=False),
        sa.Column("num_bytes", INTEGER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("visible_to", TEXT, nullable=False),
        sa.Column("num_attempts", INTEGER, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("num_attempts >= 0 AND num_bytes >= 0", name=op.f("ck_uploads_counts")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["ingestion_runs.id"], name=op.f("fk_uploads_run_id_ingestion_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_spool_spool_file"), "uploads", ["spool", "spool_file"])
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("request_sha256", TEXT, nullable=False),
        sa.Column("status_code", INTEGER, nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("body", TEXT, nullable=True),
        sa.Column("claimed_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_expires_at"), "idempotency_keys", ["expires_at"])


def downgrade() -> None:
    """Drop them. Files that still wait in the spool folder stay there and are not worked on."""
    op.drop_table("idempotency_keys")
    op.drop_table("uploads")
