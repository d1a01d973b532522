"""Reviews beside thumbs, the passage that feedback calls wrong, and the views that people review with."""

import sqlalchemy as sa
from alembic import context, op

from rag.store.views import create_views, drop_views

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

VIEW_BEFORE = "0007"
"""The migration whose ``VIEW`` stood before this one, alone."""
ANSWER_COLUMNS = ("user_id", "conversation_id", "previous_answer_id", "standalone_question")
"""The columns of ``answers`` at this revision that the views show beside those they always show."""

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns; feedback that is there is an asker's. Then make the views."""
    op.execute("DROP VIEW answer_review")
    op.add_column("feedback", sa.Column("wrong_passage_id", INTEGER, nullable=True))
    op.add_column("feedback", sa.Column("is_review", sa.Boolean(), nullable=False, server_default=sa.false()))
    create_views(op.execute, op.get_context().dialect.name, answer_columns=ANSWER_COLUMNS)


def downgrade() -> None:
    """Drop them, and put the earlier view back."""
    drop_views(op.execute)
    op.drop_column("feedback", "is_review")
    op.drop_column("feedback", "wrong_passage_id")
    op.execute(context.script.get_revision(VIEW_BEFORE).module.VIEW)
