"""HNSW indexes inside PostgreSQL, one for each large generation, and what a collection's search is made of.

Each is a partial index, ``hnsw_ID``, over the vectors of one generation, cast to its dimension: pgvector wants one
dimension in an index, a walk never comes upon another collection's vectors, and a small collection needs none. They are
made and dropped CONCURRENTLY, so that neither searches nor writers wait; from then on PostgreSQL keeps them level.
"""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, text
from sqlalchemy.orm import Session

from rag.store.database import Database
from rag.store.postgres_search import SearchedGeneration

MAX_GRAPH_DIMENSION = 4_000
"""pgvector's limit for halfvec."""

MAX_BUILD_BYTES = 1 << 30
"""Memory that making an index may take: beyond what it is given, pgvector goes on on disk, many times slower."""

LOCK = "search"

_NUM_VECTORS = text("SELECT count(*) FROM rag_search.vectors WHERE generation_id = :id").columns(n=BigInteger)
_GRAPHS = text(
    "SELECT c.relname, i.indisvalid AND EXISTS ("
    "SELECT FROM rag_search.generations g WHERE c.relname = 'hnsw_' || g.id) AS is_wanted "
    "FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid "
    "WHERE i.indrelid = 'rag_search.vectors'::regclass AND c.relname LIKE 'hnsw\\_%' ORDER BY c.relname"
)
_GRAPH_BYTES = text("SELECT coalesce(pg_relation_size(to_regclass('rag_search.hnsw_' || :id)), 0)").columns(
    n=BigInteger
)
_ALL_BYTES = text(
    "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c "
    "WHERE c.relnamespace = to_regnamespace('rag_search') AND c.relkind = 'r'"
)
_COUNTS = text(
    "SELECT (SELECT count(*) FROM passages p JOIN documents d ON d.id = p.document_id WHERE d.collection_id = :id), "
    "(SELECT coalesce(sum(num_words), 0) FROM rag_search.passages WHERE collection_id = :id), "
    "(SELECT coalesce(sum(cardinality(words)), 0) FROM rag_search.passages WHERE collection_id = :id), "
    "coalesce((SELECT num_passages FROM rag_search.collections WHERE collection_id = :id), 0), "
    "coalesce((SELECT num_words FROM rag_search.collections WHERE collection_id = :id), 0), "
    "(SELECT count(*) FROM rag_search.postings WHERE collection_id = :id)"
)
_SOME_PASSAGES = text(
    "SELECT passage_id FROM rag_search.vectors WHERE generation_id = :id "
    "ORDER BY hashint8extended(passage_id, 0), passage_id LIMIT :limit"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCounts:
    """What is counted of a collection's words, and what a recount comes to; the two must be equal.

    Each is the number of passages, of their words, and of postings.
    """

    kept: tuple[int, int, int]
    counted: tuple[int, int, int]


def count_vectors(session: Session, generation: SearchedGeneration) -> int:
    """How many passages have a vector in the generation."""
    return session.scalar(_NUM_VECTORS, {"id": generation.id}) or 0


def graph_bytes(session: Session, generation: SearchedGeneration) -> int:
    """What the generation's HNSW index takes up; 0 where there is none."""
    return session.scalar(_GRAPH_BYTES, {"id": generation.id}) or 0


def all_bytes(session: Session) -> int:
    """What the search of all collections takes up, indexes included."""
    return session.scalar(_ALL_BYTES) or 0


def count_words(session: Session, collection_id: int) -> WordCounts:
    """What the keyword search counts of a collection, beside a recount."""
    passages, words, distinct, *kept = map(int, session.execute(_COUNTS, {"id": collection_id}).one())
    return WordCounts(kept=(kept[0], kept[1], kept[2]), counted=(passages, words, distinct))


def some_passage_ids(session: Session, generation: SearchedGeneration, limit: int) -> list[int]:
    """At most ``limit`` passages of a generation, spread over all of them, the same ones each time."""
    return list(session.scalars(_SOME_PASSAGES, {"id": generation.id, "limit": limit}))


def make_graph(database: Database, generation: SearchedGeneration, num_vectors: int) -> None:
    """Make the HNSW index of a generation, unless there is one; searches and writers go on meanwhile.

    Takes minutes for some hundred thousand vectors. What a killed process left half made is made anew.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    with database.exclusive(LOCK), database.autocommit() as connection:
        if _drop_unwanted(connection, keep=generation.id):
            return
        # A vector with its links; the setting holds for this connection, which gives it back.
        num_bytes = min(MAX_BUILD_BYTES, max(64 << 20, num_vectors * (2 * generation.dimension + 500)))
        connection.exec_driver_sql(f"SET maintenance_work_mem = {num_bytes // 1024}")
        try:
            connection.exec_driver_sql(
                f"CREATE INDEX CONCURRENTLY hnsw_{generation.id} ON rag_search.vectors "
                f"USING hnsw ((vector::halfvec({generation.dimension})) halfvec_ip_ops) "
                f"WHERE generation_id = {generation.id}"
            )
        finally:
            connection.exec_driver_sql("RESET maintenance_work_mem")


def drop_graphs(database: Database, generation: SearchedGeneration | None = None) -> None:
    """Drop the HNSW index of a generation, and those of generations that are gone.

    Raises:
        StoreUnavailable: the database cannot be written.
    """
    with database.exclusive(LOCK), database.autocommit() as connection:
        _drop_unwanted(connection, drop=None if generation is None else generation.id)


def _drop_unwanted(connection: Connection, *, keep: int | None = None, drop: int | None = None) -> bool:
    """Drop what is half made, of a generation that is gone, or of ``drop``; whether that of ``keep`` is good."""
    is_kept = False
    for name, is_wanted in connection.execute(_GRAPHS).all():
        if not is_wanted or name == f"hnsw_{drop}":
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS rag_search.{name}")
        elif name == f"hnsw_{keep}":
            is_kept = True
    return is_kept
