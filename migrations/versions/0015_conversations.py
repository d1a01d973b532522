"""Conversations, and which answer another one follows or builds on."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()


def upgrade() -> None:
    """Make the table and add the columns; answers that are there belong to no conversation."""
    op.create_table(
        "conversations",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("user_id", TEXT, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_conversations_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sqlite_autoincrement=True,
    )
    for column in ("collection_id", "user_id"):
        op.create_index(op.f(f"ix_conversations_{column}"), "conversations", [column])
    # In plain SQL: SQLite takes a constraint with a new column, but Alembic would add it afterwards, for which SQLite
    # would have to copy the table.
    integer = "INTEGER" if op.get_context().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE answers ADD COLUMN conversation_id {integer} "
        "CONSTRAINT fk_answers_conversation_id_conversations REFERENCES conversations (id)"
    )
    op.create_index(op.f("ix_answers_conversation_id"), "answers", ["conversation_id"])
    op.add_column("answers", sa.Column("previous_answer_id", INTEGER, nullable=True))
    op.add_column("answers", sa.Column("based_on_answer_id", INTEGER, nullable=True))
    op.add_column("answers", sa.Column("standalone_question", TEXT, nullable=True))
    op.create_table(
        "answer_context_documents",
        sa.Column("answer_id", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"],
            ["answers.id"],
            name=op.f("fk_answer_context_documents_answer_id_answers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("answer_id", "document_id", name=op.f("pk_answer_context_documents")),
    )


def downgrade() -> None:
    """Drop them again; the answers stay."""
    op.drop_table("answer_context_documents")
    for column in ("standalone_question", "based_on_answer_id", "previous_answer_id"):
        op.drop_column("answers", column)
    op.drop_index(op.f("ix_answers_conversation_id"), "answers")
    op.execute("ALTER TABLE answers DROP COLUMN conversation_id")
    op.drop_table("conversations")
