"""What the metrics of an evaluation are made of, for each question, so that an interrupted run can be gone on with."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
FLOAT: sa.Double[float] = sa.Double()

COLUMNS: dict[str, Any] = {
    "ordinal": INTEGER,
    "article": TEXT,
    "model": TEXT,
    "confidence": FLOAT,
    "abstention_score": FLOAT,
    "always_answering_exact_match": FLOAT,
    "always_answering_f1": FLOAT,
    "with_abstention_exact_match": FLOAT,
    "with_abstention_f1": FLOAT,
    "withheld_exact_match": FLOAT,
    "withheld_f1": FLOAT,
    "reranked_gold_rank": INTEGER,
    "num_citations": INTEGER,
    "num_verified_citations": INTEGER,
    "timings_ms": sa.JSON(),
}
TABLE = "evaluation_results"
INDEX = "ix_evaluation_results_run_id_ordinal"


def upgrade() -> None:
    """Add the columns; results that are there have none of it."""
    for name, kind in COLUMNS.items():
        op.add_column(TABLE, sa.Column(name, kind, nullable=True))
    op.create_index(op.f(INDEX), TABLE, ["run_id", "ordinal"], unique=True)


def downgrade() -> None:
    """Drop them again."""
    op.drop_index(op.f(INDEX), TABLE)
    for name in reversed(COLUMNS):
        op.drop_column(TABLE, name)
