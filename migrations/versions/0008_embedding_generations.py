"""Generations of embeddings, one of each collection searched."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table; what each collection is searched by now is its first generation."""
    op.create_table(
        "embedding_generations",
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("embedding_model", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("activated_at", MOMENT, nullable=True),
        sa.CheckConstraint("status IN ('building', 'active', 'kept')", name=op.f("ck_embedding_generations_status")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_embedding_generations_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("collection_id", "embedding_model", name=op.f("pk_embedding_generations")),
    )
    op.execute(
        "INSERT INTO embedding_generations (collection_id, embedding_model, status, created_at, activated_at) "
        "SELECT id, embedding_model, 'active', created_at, created_at FROM collections"
    )


def downgrade() -> None:
    """Drop the table; vectors of generations that are not searched stay in passage_embeddings, unused."""
    op.drop_table("embedding_generations")
