"""The role ``rag_reader`` of PostgreSQL: whoever connects with it can read the log and its views, and nothing else."""

from sqlalchemy import Connection, inspect

from rag.errors import InvalidInput
from rag.store.database import Database
from rag.store.readable_tables import READABLE
from rag.store.views import READER_ROLE

_MAKE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} NOLOGIN; END IF;
END $$
"""
_REVOKE = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"
_GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT ON {tables} TO {role}",
    "ALTER ROLE {role} SET default_transaction_read_only = on",
    "ALTER ROLE {role} SET statement_timeout = '30s'",
)


def grant_reading(database: Database) -> list[str]:
    """Make the role if need be, let it read what is readable and nothing else; returns the names of that.

    It cannot log in until it gets a password: ``ALTER ROLE rag_reader LOGIN PASSWORD '…'``. To be repeated when a
    migration has brought new tables.

    Raises:
        InvalidInput: the database is SQLite, which has no roles.
        StoreUnavailable: it cannot be reached, or the user may not make roles.
    """
    if database.dialect != "postgresql":
        raise InvalidInput("SQLite has no roles; give people a copy of the file, or let them use `rag sql`.")
    with database.migrate() as connection:
        names = _readable(connection)
        for statement in (_MAKE, _REVOKE, *_GRANTS):
            connection.exec_driver_sql(statement.format(role=READER_ROLE, tables=", ".join(names)))
    return names


def _readable(connection: Connection) -> list[str]:
    inspector = inspect(connection)
    return sorted(READABLE & {*inspector.get_table_names(), *inspector.get_view_names()})
