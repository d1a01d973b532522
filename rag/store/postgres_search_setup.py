"""Making, checking and filling the search inside PostgreSQL; what it consists of is in ``postgres_search_objects``.

It is made in one short transaction and filled in many, in which others write: from the first on, triggers take in
what they write, so what is left to fill only becomes less.
"""

from sqlalchemy import Connection, String, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from rag.errors import InvalidInput, StoreUnavailable
from rag.store import tables
from rag.store.column_types import BigInt
from rag.store.database import Database
from rag.store.index_changes import lock_collection
from rag.store.postgres_graphs import LOCK
from rag.store.postgres_search_objects import MIN_PGVECTOR, OBJECTS, VERSION

BATCH = 1_000
"""Passages that one statement takes in, and one transaction of :func:`set_up_search`."""

_VERSION = text("SELECT obj_description(to_regnamespace('rag_search'), 'pg_namespace')").columns(version=String)
_EXTENSION = text(
    "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector'), "
    "(SELECT default_version FROM pg_available_extensions WHERE name = 'vector')"
)
_IDS = bindparam("ids", type_=ARRAY(BigInt))
# Those of a document with a new title are in already.
_ADD_WORDS = text(
    "SELECT rag_search.add_words(ARRAY("
    "SELECT unnest(:ids) EXCEPT SELECT passage_id FROM rag_search.passages WHERE passage_id = ANY (:ids)))"
).bindparams(_IDS)
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

    Nothing is embedded again. Others can write meanwhile, but for the moment in which it is made, and then for a
    batch of their collection at a time. What was broken off goes on. Returns whether there was anything to do: not
    where the search of this version is there already.

    Raises:
        InvalidInput: the database is none of PostgreSQL or not in UTF-8, or the server has no pgvector new enough.
        StoreUnavailable: the database cannot be reached or written, or its user may not make extensions.
    """
    _require_postgresql(database)
    with database.exclusive(LOCK):
        if not _make(database):
            return False
        with database.read() as session:
            collection_ids = session.scalars(select(tables.Collection.id).order_by(tables.Collection.id)).all()
        for collection_id in collection_ids:
            after_id: int | None = 0
            while after_id is not None:
                with database.write() as session:
                    lock_collection(session, collection_id)
                    after_id = _fill_batch(session, collection_id, after_id)
        with database.migrate() as connection:
            _analyze(connection)
            _note_version(connection, VERSION)
    return True


def require_search(database: Database) -> None:
    """Make sure that the database has the search of this program.

    Raises:
        InvalidInput: the database is none of PostgreSQL.
        StoreUnavailable: it has none or another one, or it is not filled yet, or cannot be reached.
    """
    _require_postgresql(database)
    with database.read() as session:
        version = session.scalar(_VERSION)
    if version == _unfilled():
        raise StoreUnavailable(
            f"The search inside {database} is being filled; wait for `rag db upgrade`, or run it again if it was "
            "broken off."
        )
    if version != VERSION:
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
        after_id: int | None = 0
        while after_id is not None:
            after_id = _fill_batch(session, collection_id, after_id)
        _analyze(session.connection())


def _make(database: Database) -> bool:
    """Make what of it is not there; whether there is anything to fill."""
    with database.migrate() as connection:
        version = connection.scalar(_VERSION)
        if version not in (VERSION, _unfilled()):
            _require_unicode(database, connection)
            _require_pgvector(database, connection)
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
            connection.exec_driver_sql("DROP SCHEMA IF EXISTS rag_search CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA rag_search")
            for statement in OBJECTS:
                connection.exec_driver_sql(statement)
            _note_version(connection, _unfilled())
    return bool(version != VERSION)


def _fill_batch(session: Session, collection_id: int, after_id: int) -> int | None:
    """Take in the next passages, by id; returns the last id, None where there are no more."""
    wanted = (
        select(tables.Passage.id)
        .join(tables.Document, tables.Document.id == tables.Passage.document_id)
        .where(tables.Document.collection_id == collection_id, tables.Passage.id > after_id)
        .order_by(tables.Passage.id)
        .limit(BATCH)
    )
    ids = list(session.scalars(wanted))
    if not ids:
        return None
    session.execute(_ADD_WORDS, {"ids": ids})
    models = select(tables.EmbeddingGeneration.embedding_model).where(
        tables.EmbeddingGeneration.collection_id == collection_id
    )
    for model in session.scalars(models).all():
        session.execute(_ADD_VECTORS, {"ids": ids, "model": model})
    return ids[-1]


def _unfilled() -> str:
    return f"{VERSION}, being filled"


def _note_version(connection: Connection, version: str) -> None:
    connection.exec_driver_sql(f"COMMENT ON SCHEMA rag_search IS '{version}'")


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
