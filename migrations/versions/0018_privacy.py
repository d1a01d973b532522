"""Views that leave anonymised answers out where they ask for the words of a question."""

from alembic import op

from rag.store.views import create_views, drop_views

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ANSWER_COLUMNS = ("user_id", "conversation_id", "previous_answer_id", "standalone_question")


def upgrade() -> None:
    """Make the views again."""
    drop_views(op.execute)
    create_views(op.execute, op.get_context().dialect.name, answer_columns=ANSWER_COLUMNS)


def downgrade() -> None:
    """Nothing: these views are good for the revision before, too."""
