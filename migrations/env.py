"""How Alembic reaches the database: over the connection that ``rag.store.migrate`` passes, or else by the settings."""

from alembic import context
from sqlalchemy import Connection

from rag.config import load_settings
from rag.store.database import Database
from rag.store.migrate import compare_default
from rag.store.tables import Base


def run_on(connection: Connection) -> None:
    """Run the migrations in the transaction that the connection is in."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=compare_default,
        # SQLite can undo changes of the schema as well; Alembic does not rely on it by itself.
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_offline() -> None:
    """Write the SQL of the migrations instead of running it (``alembic upgrade head --sql``)."""
    context.configure(
        url=load_settings().resolved_database_url,
        target_metadata=Base.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the migrations on the given connection, or on one opened by the settings."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run_on(connection)
        return
    database = Database(load_settings().resolved_database_url)
    try:
        with database.migrate() as opened:
            run_on(opened)
    finally:
        database.dispose()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
