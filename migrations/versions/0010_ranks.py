"""The place of a logged passage in what each leg of the search found, and the time of reordering them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; answers that were logged before have none."""
    op.add_column("answer_passages", sa.Column("keyword_rank", INTEGER, nullable=True))
    op.add_column("answer_passages", sa.Column("vector_rank", INTEGER, nullable=True))
    op.add_column("answers", sa.Column("rerank_ms", sa.Double(), nullable=True))


def downgrade() -> None:
    """Drop them again."""
    op.drop_column("answers", "rerank_ms")
    op.drop_column("answer_passages", "vector_rank")
    op.drop_column("answer_passages", "keyword_rank")
