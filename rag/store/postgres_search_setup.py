"""Making, checking and filling the search inside PostgreSQL; what it consists of is in ``postgres_search_objects``."""

from sqlalchemy import Connection, String, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, StoreUnavailable
from rag.store import tables
from rag.store.column_types import BigInt
from rag.store.database import Database
from rag.store.index_changes import lock_collection
from rag.store.postgres_search_objects import MIN_PGVECTOR, OBJECTS, VERSION

BATCH = 1_000
"""Passages that one statement takes in."""

_VERSION = text("SELECT obj_description(to_regnamespace('rag_search'), 'pg_namespace')").columns(version=String)
_EXTENSION = text(
    "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector'), "
    "(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')"
)
_IDS = bindparam("ids", type_=ARRAY(BigInt))
_ADD_WORDS = text("SELECT rag_search.add_words(:ids)").bindparams(_IDS)
_ADD_VECTORS = text("SELECT rag_search.add_vectors(:ids, :model)").bindparams(_IDS)
_EMPTY = tuple(
    text(statement)
    for statement in (
        "DELETE FROM rag_search.vectors v USING rag_search.generations g "
        "WHERE v.generation_id = g.id AND g.collection_id = :collection_id",
        "DELETE FROM rag_search.generations WHERE collection_id = :collection_id",
        "DELETE FROM rag_search.postings WHERE collection_id = :collection_id",
        "DELETE FROM rag_search.passages WHERE collection_id = :collection_id",
        "DELETE FROM rag_search.collections WHERE collection_id = :collection_id",
    )
)


def set_up_search(database: Database) -> bool:
    """Make the search of a migrated PostgreSQL database and fill it from the passages that are there.

    Nothing is embedded again, and nothing else can write meanwhile. Returns whether there was anything to do: not where
    the search of this version is there already.

    Raises:
        InvalidInput: the database is none of PostgreSQL or not in UTF-8, or the server has no pgvector new enough.
        StoreUnavailable: the database cannot be reached or written, or its user may not make extensions.
    """
    _require_postgresql(database)
    with database.migrate() as connection:
        if connection.scalar(_VERSION) == VERSION:
            return False
        _require_unicode(database, connection)
        _require_pgvector(database, connection)
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        connection.exec_driver_sql("DROP SCHEMA IF EXISTS rag_search CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA rag_search")
        for statement in OBJECTS:
            connection.exec_driver_sql(statement)
        with Session(connection, autoflush=False) as session:
            for collection_id in session.scalars(select(tables.Collection.id)).all():
                _fill(session, collection_id)
        connection.exec_driver_sql(f"COMMENT ON SCHEMA rag_search IS '{VERSION}'")
        _analyze(connection)
    return True


def require_search(database: Database) -> None:
    """Make sure that the database has the search of this program.

    Raises:
        InvalidInput: the database is none of PostgreSQL.
        StoreUnavailable: it has none or another one, or cannot be reached.
    """
    _require_postgresql(database)
    with database.read() as session:
        if session.scalar(_VERSION) != VERSION:
            raise StoreUnavailable(
                f"The setting search is postgres, and the database {database} is not set up for it; "
                "run `rag db upgrade` with the same settings."
            )


def rebuild_collection(database: Database, collection_id: int) -> None:
    """Make all that the search knows of a collection anew from its passages, in one transaction; searches go on.

    Raises:
        NotFound: there is no such collection.
        StoreUnavailable: the database cannot be written.
    """
    with database.write() as session:
        lock_collection(session, collection_id)
        for statement in _EMPTY:
            session.execute(statement, {"collection_id": collection_id})
        _fill(session, collection_id)
        _analyze(session.connection())


def _fill(session: Session, collection_id: int) -> None:
    models = session.scalars(
        select(tables.EmbeddingGeneration.embedding_model).where(
            tables.EmbeddingGeneration.collection_id == collection_id
        )
    ).all()
    wanted = (
        select(tables.Passage.id)
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(tables.Document.collection_id == collection_id, tables.Passage.id > bindparam("after_id", type_=BigInt))
        .order_by(tables.Passage.id)
        .limit(BATCH)
    )
    after_id = 0
    while ids := list(session.scalars(wanted, {"after_id": after_id})):
        session.execute(_ADD_WORDS, {"ids": ids})
        for model in models:
            session.execute(_ADD_VECTORS, {"ids": ids, "model": model})
        after_id = ids[-1]


def _analyze(connection: Connection) -> None:
    # Without figures on the new rows, PostgreSQL plans as if there were none.
    for table in ("vectors", "passages", "postings"):
        connection.exec_driver_sql(f"ANALYZE rag_search.{table}")


def _require_postgresql(database: Database) -> None:
    if database.dialect != "postgresql":
        raise InvalidInput(
            "The setting search is postgres, which needs a PostgreSQL database; set database_url to one, or search to "
            "embedded."
        )


def _require_unicode(database: Database, connection: Connection) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise InvalidInput(
            f"The setting search is postgres, and {database} has the encoding {encoding}; make a database with UTF8, "
            "or set search to embedded."
        )


def _require_pgvector(database: Database, connection: Connection) -> None:
    installed, available = connection.execute(_EXTENSION).one()
    wanted = ".".join(map(str, MIN_PGVECTOR))
    if installed is None and available is None:
        raise InvalidInput(
            f"The setting search is postgres, and the server of {database} has no pgvector; install the extension "
            f"{wanted} or later there, or set search to embedded."
        )
    if _numbers(installed or available) < MIN_PGVECTOR:
        raise InvalidInput(
            f"The setting search is postgres, and {database} has pgvector {installed or available}; install {wanted} "
            "or later and run ALTER EXTENSION vector UPDATE, or set search to embedded."
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
