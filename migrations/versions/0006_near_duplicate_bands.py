"""Bands of MinHash signatures, by which near duplicates are found; those of the documents that are there are made."""

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# As rag.store.near_duplicates cuts signatures at this revision; a later change there comes with its own migration.
NUM_BANDS = 21
BYTES_PER_BAND = 24
DOCUMENTS_PER_BATCH = 500

DOCUMENTS = sa.table(
    "documents",
    sa.column("id", INTEGER),
    sa.column("collection_id", INTEGER),
    sa.column("signature", sa.LargeBinary()),
    sa.column("duplicate_of", INTEGER),
    sa.column("deleted_at", sa.DateTime()),
)


def upgrade() -> None:
    """Make the table and fill it. Written out as SQL (``--sql``) it is only made, which suits an empty database."""
    bands = op.create_table(
        "near_duplicate_bands",
        sa.Column("collection_id", INTEGER, nullable=False),
        sa.Column("band_hash", INTEGER, nullable=False),
        sa.Column("document_id", INTEGER, nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_near_duplicate_bands_collection_id_collections")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_near_duplicate_bands_document_id_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("collection_id", "band_hash", "document_id", name=op.f("pk_near_duplicate_bands")),
        sqlite_with_rowid=False,
    )
    if not context.is_offline_mode():
        _fill(op.get_bind(), bands)


def downgrade() -> None:
    """Drop the table; the signatures that it was made from are kept with the documents."""
    op.drop_table("near_duplicate_bands")


def _fill(connection: sa.Connection, bands: sa.Table) -> None:
    last_id = 0
    while True:
        documents = connection.execute(
            sa.select(DOCUMENTS.c.id, DOCUMENTS.c.collection_id, DOCUMENTS.c.signature)
            .where(
                DOCUMENTS.c.id > last_id,
                DOCUMENTS.c.signature.is_not(None),
                DOCUMENTS.c.duplicate_of.is_(None),
                DOCUMENTS.c.deleted_at.is_(None),
            )
            .order_by(DOCUMENTS.c.id)
            .limit(DOCUMENTS_PER_BATCH)
        ).all()
        if not documents:
            return
        connection.execute(sa.insert(bands), [row for document in documents for row in _rows(*document)])
        last_id = documents[-1].id


def _rows(document_id: int, collection_id: int, signature: bytes) -> list[dict[str, Any]]:
    return [
        {"collection_id": collection_id, "band_hash": _band_hash(signature, band), "document_id": document_id}
        for band in range(NUM_BANDS)
    ]


def _band_hash(signature: bytes, band: int) -> int:
    piece = signature[band * BYTES_PER_BAND : (band + 1) * BYTES_PER_BAND]
    digest = hashlib.blake2b(piece, digest_size=8, salt=band.to_bytes(2, "little")).digest()
    return int.from_bytes(digest, "little", signed=True)
