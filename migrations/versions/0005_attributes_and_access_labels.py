"""Tags and metadata as rows that filters find by an index, and labels that say who may see a document."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON()
FLOAT: sa.Double[float] = sa.Double()
DOCUMENTS_AT_ONCE = 1_000

# What a value was compared as when this was written; the program may change its mind later, this step must not.
MAX_TEXT_CHARS = 400
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
MIN_DATE_CHARS = 10


def upgrade() -> None:
    """Make the tables and fill them from the documents that there are. All of these stay open to everyone."""
    op.add_column("collections", sa.Column("revision", INTEGER, nullable=False, server_default="0"))
    op.add_column("documents", sa.Column("access_labels", JSON, nullable=False, server_default="[]"))
    _create_tables()
    if not op.get_context().as_sql:  # a script made with --sql is for a database without documents
        _fill()


def downgrade() -> None:
    """Drop the tables; what was labelled is open to everyone again."""
    op.drop_table("answer_access_labels")
    op.drop_table("document_access_labels")
    op.drop_table("document_attributes")
    op.drop_column("documents", "access_labels")
    op.drop_column("collections", "revision")


def _fill() -> None:
    connection, after_id = op.get_bind(), 0
    attributes = sa.table(
        "document_attributes",
        sa.column("document_id", INTEGER),
        sa.column("is_tag", sa.Boolean()),
        sa.column("name", TEXT),
        sa.column("text", TEXT),
        sa.column("number", FLOAT),
        sa.column("moment", MOMENT),
    )
    while batch_rows := _documents_after(connection, after_id):
        rows = [row for document in batch_rows for row in _attribute_rows(*document)]
        if rows:
            connection.execute(attributes.insert(), rows)
        after_id = batch_rows[-1][0]


def _create_tables() -> None:
    op.create_table(
        "document_attributes",
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("is_tag", sa.Boolean(), nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("number", FLOAT, nullable=True),
        sa.Column("moment", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_document_attributes_document_id_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_id", "is_tag", "name", name=op.f("pk_document_attributes")),
    )
    for value in ("text", "number", "moment"):
        op.create_index(
            op.f(f"ix_document_attributes_name_{value}_document_id"),
            "document_attributes",
            ["name", value, "document_id"],
        )
    op.create_table(
        "document_access_labels",
        sa.Column("document_id", INTEGER, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_document_access_labels_document_id_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_id", "label", name=op.f("pk_document_access_labels")),
    )
    op.create_index(
        op.f("ix_document_access_labels_label_document_id"), "document_access_labels", ["label", "document_id"]
    )
    op.create_table(
        "answer_access_labels",
        sa.Column("answer_id", INTEGER, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_answer_access_labels_answer_id_answers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", "label", name=op.f("pk_answer_access_labels")),
    )
    # Whoever asked until now saw all documents.
    op.execute("INSERT INTO answer_access_labels (answer_id, label) SELECT id, '*' FROM answers")


def _documents_after(connection: sa.Connection, after_id: int) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
    documents = sa.table("documents", sa.column("id", INTEGER), sa.column("tags", JSON), sa.column("metadata", JSON))
    statement = (
        sa.select(documents.c.id, documents.c.tags, documents.c.metadata)
        .where(documents.c.id > after_id)
        .order_by(documents.c.id)
        .limit(DOCUMENTS_AT_ONCE)
    )
    return [(document_id, tags, metadata) for document_id, tags, metadata in connection.execute(statement)]


def _attribute_rows(document_id: int, tags: dict[str, Any], metadata: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for is_tag, values in ((True, tags), (False, metadata)):
        for name, value in values.items():
            if value is not None:
                yield {
                    "document_id": document_id,
                    "is_tag": is_tag,
                    "name": name,
                    "text": _text(value),
                    "number": _number(value),
                    "moment": _moment(value),
                }


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MAX_TEXT_CHARS else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value.strip())):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _moment(value: Any) -> datetime | None:
    text = value.strip() if isinstance(value, str) else ""
    try:
        if len(text) == MIN_DATE_CHARS:
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if len(text) < MIN_DATE_CHARS:
            return None
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
