"""Users, API keys, sign-ins and audit events, and who asked each answer."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# SQLite counts upwards by itself only in a column that is declared INTEGER, which holds 64 bits there anyway.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON()


def upgrade() -> None:
    """Make the tables and the column. Of answers that are there it is not known who asked them."""
    op.create_table(
        "users",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    _create_api_keys()
    op.create_table(
        "sign_ins",
        sa.Column("secret_sha256", TEXT, nullable=False),
        sa.Column("api_key_id", INTEGER, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["api_key_id"], ["api_keys.id"], name=op.f("fk_sign_ins_api_key_id_api_keys"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("secret_sha256", name=op.f("pk_sign_ins")),
    )
    op.create_index(op.f("ix_sign_ins_api_key_id"), "sign_ins", ["api_key_id"])
    op.create_index(op.f("ix_sign_ins_expires_at"), "sign_ins", ["expires_at"])
    op.create_table(
        "audit_events",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("user_id", TEXT, nullable=True),
        sa.Column("api_key_id", INTEGER, nullable=True),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("target", TEXT, nullable=True),
        sa.Column("details", JSON, nullable=False),
        sa.Column("request_id", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_events_created_at"), "audit_events", ["created_at"])
    op.create_index(op.f("ix_audit_events_user_id"), "audit_events", ["user_id"])
    op.add_column("answers", sa.Column("user_id", TEXT, nullable=True))
    op.create_index(op.f("ix_answers_user_id"), "answers", ["user_id"])


def downgrade() -> None:
    """Drop all of it, with the keys."""
    op.drop_index(op.f("ix_answers_user_id"), "answers")
    op.drop_column("answers", "user_id")
    for table in ("audit_events", "sign_ins", "api_keys", "users"):
        op.drop_table(table)


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("secret_sha256", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("collections", JSON, nullable=True),
        sa.Column("access_labels", JSON, nullable=True),
        sa.Column("rate_limit_per_minute", INTEGER, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "role IN ('reader', 'contributor', 'reviewer', 'administrator')", name=op.f("ck_api_keys_role")
        ),
        sa.CheckConstraint("rate_limit_per_minute >= 1", name=op.f("ck_api_keys_rate_limit_per_minute")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"])
