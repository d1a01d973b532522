"""What passages are recognised by: the hash of their words, and of the text that a vector was made of."""

import hashlib
import unicodedata

import sqlalchemy as sa
from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
PASSAGES_PER_BATCH = 1_000

PASSAGES = sa.table("passages", sa.column("id", INTEGER), sa.column("text", TEXT), sa.column("text_sha256", TEXT))


def upgrade() -> None:
    """Add the columns and hash the words that are there. Written out as SQL (``--sql``) they stay without a hash.

    Of vectors that are there it is not known for certain which title they were made with, so they get none.
    """
    op.add_column("passages", sa.Column("text_sha256", TEXT, nullable=True))
    op.add_column("passages", sa.Column("is_repeated", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("passage_embeddings", sa.Column("embedded_sha256", TEXT, nullable=True))
    op.add_column("ingestion_runs", sa.Column("num_passages_reused", INTEGER, nullable=False, server_default="0"))
    op.create_table(
        "shared_vectors",
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("embedding_model", TEXT, nullable=False),
        sa.Column("embedded_sha256", TEXT, nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_shared_vectors_collection_id_collections")
        ),
        sa.PrimaryKeyConstraint("collection_id", "embedding_model", "embedded_sha256", name=op.f("pk_shared_vectors")),
    )
    if not context.is_offline_mode():
        _fill(op.get_bind())
    op.create_index(
        op.f("ix_passages_text_sha256_is_repeated_document_id"),
        "passages",
        ["text_sha256", "is_repeated", "document_id"],
    )
    op.create_index(
        op.f("ix_passage_embeddings_embedded_sha256_passage_id"),
        "passage_embeddings",
        ["embedded_sha256", "passage_id"],
    )


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("shared_vectors")
    op.drop_index(op.f("ix_passage_embeddings_embedded_sha256_passage_id"), "passage_embeddings")
    op.drop_index(op.f("ix_passages_text_sha256_is_repeated_document_id"), "passages")
    op.drop_column("ingestion_runs", "num_passages_reused")
    op.drop_column("passage_embeddings", "embedded_sha256")
    op.drop_column("passages", "is_repeated")
    op.drop_column("passages", "text_sha256")


def _fill(connection: sa.Connection) -> None:
    last_id = 0
    put = (
        sa.update(PASSAGES)
        .where(PASSAGES.c.id == sa.bindparam("passage_id"))
        .values(text_sha256=sa.bindparam("words_sha256"))
    )
    while True:
        passages = connection.execute(
            sa.select(PASSAGES.c.id, PASSAGES.c.text)
            .where(PASSAGES.c.id > last_id)
            .order_by(PASSAGES.c.id)
            .limit(PASSAGES_PER_BATCH)
        ).all()
        if not passages:
            return
        connection.execute(put, [{"passage_id": id_, "words_sha256": _sha256(text)} for id_, text in passages])
        last_id = passages[-1].id


def _sha256(text: str) -> str:
    # As rag.text.clean normalises words at this revision; a text of odd marks gets another hash and matches nothing.
    return hashlib.sha256(" ".join(unicodedata.normalize("NFKC", text).split()).encode()).hexdigest()
