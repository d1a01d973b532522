"""The model registry: models, their files, and the bytes of those that are kept here."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "models",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", INTEGER, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("activated_at", MOMENT, nullable=True),
        sa.Column("removed_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('reader', 'embedding', 'language')", name=op.f("ck_models_kind")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_models_version")),
        sa.CheckConstraint(
            "activated_at IS NULL OR (kind = 'reader' AND removed_at IS NULL)", name=op.f("ck_models_activated_at")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_models_name_version")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "model_files",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("model_id", INTEGER, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("num_bytes", INTEGER, nullable=False),
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("uri", TEXT, nullable=True),
        sa.CheckConstraint("num_bytes >= 0", name=op.f("ck_model_files_num_bytes")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_files_model_id_models")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_files")),
        sa.UniqueConstraint("model_id", "path", name=op.f("uq_model_files_model_id_path")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_model_files_sha256"), "model_files", ["sha256"])
    op.create_table(
        "model_file_parts",
        sa.Column("file_id", INTEGER, nullable=False),
        sa.Column("ordinal", INTEGER, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("ordinal >= 0", name=op.f("ck_model_file_parts_ordinal")),
        sa.ForeignKeyConstraint(
            ["file_id"], ["model_files.id"], name=op.f("fk_model_file_parts_file_id_model_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file_id", "ordinal", name=op.f("pk_model_file_parts")),
    )


def downgrade() -> None:
    """Drop them, with the models that are in them."""
    for table in ("model_file_parts", "model_files", "models"):
        op.drop_table(table)
