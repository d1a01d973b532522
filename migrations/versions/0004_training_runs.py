"""Training runs and the points of their curves."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
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
    op.create_table(
        "training_runs",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("settings", JSON, nullable=False),
        sa.Column("seed", INTEGER, nullable=False),
        sa.Column("data_files", JSON, nullable=False),
        sa.Column("code_version", TEXT, nullable=False),
        sa.Column("machine", JSON, nullable=False),
        sa.Column("folder", TEXT, nullable=False),
        sa.Column("step", INTEGER, nullable=False),
        sa.Column("num_steps", INTEGER, nullable=False),
        sa.Column("num_starts", INTEGER, nullable=False),
        sa.Column("scores", JSON, nullable=True),
        sa.Column("weights_path", TEXT, nullable=True),
        sa.Column("weights_sha256", TEXT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("reported_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('running', 'finished', 'failed', 'interrupted')", name=op.f("ck_training_runs_status")
        ),
        sa.CheckConstraint("step >= 0 AND num_steps >= 0 AND num_starts >= 1", name=op.f("ck_training_runs_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_runs")),
        sa.UniqueConstraint("run_key", name=op.f("uq_training_runs_run_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "training_points",
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column("step", INTEGER, nullable=False),
        sa.Column("value", FLOAT, nullable=False),
        sa.CheckConstraint("step >= 0", name=op.f("ck_training_points_step")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["training_runs.id"], name=op.f("fk_training_points_run_id_training_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "metric", "step", name=op.f("pk_training_points")),
    )


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.drop_table("training_points")
    op.drop_table("training_runs")
