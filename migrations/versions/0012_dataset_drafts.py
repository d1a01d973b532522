"""Drafts of datasets, so that the documents of a large one are written in batches before anybody sees it.

A draft may be changed and deleted. A dataset that holds documents and is no draft never becomes one again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

NEVER_CHANGED = "a dataset is never changed or deleted"
NEEDS_ERASURE = "a document leaves a dataset only with an entry in dataset_erasures"
NO_DRAFT_AGAIN = "a dataset that holds documents is no draft"

IS_DRAFT = "EXISTS (SELECT 1 FROM dataset_drafts WHERE dataset_drafts.dataset_id = OLD.{id})"
IS_ERASED = (
    "EXISTS (SELECT 1 FROM dataset_erasures WHERE dataset_erasures.dataset_id = OLD.dataset_id"
    " AND dataset_erasures.document_id = OLD.document_id)"
)
HOLDS_DOCUMENTS = "EXISTS (SELECT 1 FROM dataset_documents WHERE dataset_documents.dataset_id = NEW.dataset_id)"
OF_DATASET, OF_DOCUMENT = IS_DRAFT.format(id="id"), IS_DRAFT.format(id="dataset_id")

SQLITE_TRIGGER = """
CREATE TRIGGER {table}_refuse_{event} BEFORE {event} ON {table} {when}
BEGIN SELECT RAISE(ABORT, '{message}'); END
"""
POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {refused} THEN
        RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$
"""
POSTGRESQL_TRIGGER = """
CREATE TRIGGER {table}_refuse_{event} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()
"""


def upgrade() -> None:
    """Make the table, and let drafts be changed and deleted."""
    op.create_table(
        "dataset_drafts",
        sa.Column("dataset_id", INTEGER, nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_dataset_drafts_dataset_id_datasets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", name=op.f("pk_dataset_drafts")),
    )
    if op.get_context().dialect.name == "sqlite":
        for event in ("update", "delete"):
            _replace_sqlite_trigger("datasets", event, f"WHEN NOT {OF_DATASET}", NEVER_CHANGED)
        _replace_sqlite_trigger(
            "dataset_documents", "delete", f"WHEN NOT {IS_ERASED} AND NOT {OF_DOCUMENT}", NEEDS_ERASURE
        )
        _replace_sqlite_trigger("dataset_drafts", "insert", f"WHEN {HOLDS_DOCUMENTS}", NO_DRAFT_AGAIN)
        _replace_sqlite_trigger("dataset_drafts", "update", "", NO_DRAFT_AGAIN)
        return
    _make_function("refuse_published_dataset_change", f"NOT {OF_DATASET}", NEVER_CHANGED)
    for event in ("update", "delete"):
        _replace_postgresql_trigger("datasets", event, "refuse_published_dataset_change")
    _make_function("refuse_unrecorded_erasure", f"NOT {IS_ERASED} AND NOT {OF_DOCUMENT}", NEEDS_ERASURE)
    _make_function("refuse_dataset_draft", HOLDS_DOCUMENTS, NO_DRAFT_AGAIN)
    _replace_postgresql_trigger("dataset_drafts", "insert", "refuse_dataset_draft")
    _replace_postgresql_trigger("dataset_drafts", "update", "refuse_dataset_change")


def downgrade() -> None:
    """Delete the drafts, and let no dataset be changed or deleted."""
    op.execute("DELETE FROM dataset_documents WHERE dataset_id IN (SELECT dataset_id FROM dataset_drafts)")
    op.execute("DELETE FROM datasets WHERE id IN (SELECT dataset_id FROM dataset_drafts)")
    if op.get_context().dialect.name == "sqlite":
        for event in ("update", "delete"):
            _replace_sqlite_trigger("datasets", event, "", NEVER_CHANGED)
        _replace_sqlite_trigger("dataset_documents", "delete", f"WHEN NOT {IS_ERASED}", NEEDS_ERASURE)
        op.drop_table("dataset_drafts")
        return
    for event in ("update", "delete"):
        _replace_postgresql_trigger("datasets", event, "refuse_dataset_change")
    _make_function("refuse_unrecorded_erasure", f"NOT {IS_ERASED}", NEEDS_ERASURE)
    op.drop_table("dataset_drafts")
    op.execute("DROP FUNCTION refuse_dataset_draft()")
    op.execute("DROP FUNCTION refuse_published_dataset_change()")


def _replace_sqlite_trigger(table: str, event: str, when: str, message: str) -> None:
    op.execute(f"DROP TRIGGER IF EXISTS {table}_refuse_{event}")
    op.execute(SQLITE_TRIGGER.format(table=table, event=event, when=when, message=message))


def _replace_postgresql_trigger(table: str, event: str, function: str) -> None:
    op.execute(f"DROP TRIGGER IF EXISTS {table}_refuse_{event} ON {table}")
    op.execute(POSTGRESQL_TRIGGER.format(table=table, event=event, function=function))


def _make_function(name: str, refused: str, message: str) -> None:
    op.execute(POSTGRESQL_FUNCTION.format(name=name, refused=refused, message=message))
