"""Search inside PostgreSQL: BM25 over postings, and pgvector's exact scan or HNSW walk, both under a filter in SQL.

A filter is a query for document ids that stands in the statement, so a search comes upon nothing else; names and values
are bound as everywhere. What a filter leaves changes no score.

An HNSW walk (Malkov and Yashunin, 2016) only comes upon what is near the question. So where a filter leaves few
passages all of these are scanned instead, and where a walk ends with fewer hits than were wanted, so is everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Double,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import UserDefinedType

from rag.store.column_types import BigInt
from rag.store.found_passages import MatchingDocuments

MAX_SCANNED = 20_000
"""Up to so many passages that a filter leaves are scanned: some milliseconds, and nothing is missed."""

MIN_WIDTH, MAX_WIDTH = 200, 1_000
"""Bounds of ``hnsw.ef_search``, the near passages that a walk keeps in view; pgvector takes no more than a thousand."""

MIN_NEAR = 100
"""A walk goes on until it has so many, however few are wanted: the first that it comes upon are not yet the nearest."""

MAX_WALKED = 200_000
"""Passages after which a walk gives up (``hnsw.max_scan_tuples``)."""

WALK_MEMORY = "64MB"
"""What a walk may keep of what it came upon, and room for the ids of two million documents that a filter leaves."""

ITERATIVE_SCAN = "relaxed_order"
"""Hits are sorted afterwards anyway, and strict order leaves out what it comes upon too late."""

Vector = NDArray[np.float16]
"""A unit vector (dimension)."""


class Halfvec(UserDefinedType[Any]):
    """pgvector's vector of 16-bit values; of any dimension when none is given."""

    cache_ok = True

    def __init__(self, dimension: int | None = None) -> None:
        """The type of a column or of a cast."""
        self.dimension = dimension

    def get_col_spec(self, **_: Any) -> str:
        """Its name in SQL."""
        return "halfvec" if self.dimension is None else f"halfvec({self.dimension})"


# Not the metadata of the other tables: Alembic would miss these wherever the search is not set up.
_METADATA = MetaData(schema="rag_search")
_VECTORS = Table(
    "vectors",
    _METADATA,
    Column("passage_id", BigInt),
    Column("generation_id", BigInt),
    Column("document_id", BigInt),
    Column("vector", Halfvec),
)
_PASSAGES = Table("passages", _METADATA, Column("passage_id", BigInt), Column("document_id", BigInt))

_GENERATION = text(
    "SELECT id, dimension, EXISTS ("
    "SELECT FROM pg_index WHERE indisvalid AND indexrelid = to_regclass('rag_search.hnsw_' || g.id)) AS has_graph "
    "FROM rag_search.generations g WHERE collection_id = :collection_id AND embedding_model = :model"
).columns(id=BigInt, dimension=Integer, has_graph=Boolean)
# PostgreSQL guesses that a filter leaves a handful of passages, and would rather sort these than walk: without sorting,
# the index is the only way to have the nearest first.
_BEGIN_WALK = text(
    "SELECT set_config('hnsw.iterative_scan', :order, true), set_config('hnsw.ef_search', :width, true), "
    "set_config('hnsw.max_scan_tuples', :walked, true), set_config('work_mem', :memory, true), "
    "set_config('enable_sort', 'off', true)"
)
_END_WALK = text("SELECT set_config('enable_sort', 'on', true)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedGeneration:
    """The vectors of a collection under one model; ``has_graph``: an HNSW index over them is ready."""

    id: int
    dimension: int
    has_graph: bool


def find_generation(session: Session, collection_id: int, embedding_model: str) -> SearchedGeneration | None:
    """The vectors of a collection under one model; None where there are none."""
    row = session.connection().execute(_GENERATION, {"collection_id": collection_id, "model": embedding_model}).first()
    return None if row is None else SearchedGeneration(id=row.id, dimension=row.dimension, has_graph=row.has_graph)


def search_words(
    session: Session,
    collection_id: int,
    query: str,
    *,
    limit: int,
    generation: SearchedGeneration,
    vector: Vector,
    documents: MatchingDocuments | None = None,
) -> list[tuple[int, float, float | None]]:
    """The best ``limit`` passages as (passage id, BM25, inner product with ``vector``), best first.

    Only passages of ``documents``, if given. The product is None where the generation has no vector of a passage.
    """
    hits = func.rag_search.keyword_hits(
        literal(collection_id, BigInt), literal(query, Text), type_=BigInt
    ).table_valued(column("passage_id", BigInt), column("score", Double))
    best = select(hits.c.passage_id, hits.c.score).order_by(hits.c.score.desc(), hits.c.passage_id).limit(limit)
    if documents is not None:
        best = best.join(_PASSAGES, _PASSAGES.c.passage_id == hits.c.passage_id).where(
            _PASSAGES.c.document_id.in_(documents)
        )
    found = best.subquery()
    of_passage = and_(_VECTORS.c.passage_id == found.c.passage_id, _VECTORS.c.generation_id == generation.id)
    statement = (
        select(found.c.passage_id, found.c.score, -_distance(_VECTORS.c.vector, generation, vector))
        .outerjoin_from(found, _VECTORS, of_passage)
        .order_by(found.c.score.desc(), found.c.passage_id)
    )
    return [(row[0], row[1], row[2]) for row in session.connection().execute(statement)]


def search_vectors(
    session: Session,
    generation: SearchedGeneration,
    vector: Vector,
    *,
    limit: int,
    documents: MatchingDocuments | None = None,
) -> list[tuple[int, float]]:
    """The nearest ``limit`` passages as (passage id, inner product), best first; only of ``documents``, if given."""
    if generation.has_graph and not (documents is not None and _are_few(session, generation, documents)):
        found = walk_vectors(session, generation, vector, limit=limit, documents=documents)
        if len(found) >= limit:
            return found
    return scan_vectors(session, generation, vector, limit=limit, documents=documents)


def scan_vectors(
    session: Session,
    generation: SearchedGeneration,
    vector: Vector,
    *,
    limit: int,
    documents: MatchingDocuments | None = None,
) -> list[tuple[int, float]]:
    """As :func:`search_vectors`, by looking at every vector."""
    # The column as it is: the HNSW index is over its cast, so this cannot be answered by it.
    distance = _distance(_VECTORS.c.vector, generation, vector)
    nearest = _nearest(generation, distance, limit).order_by(distance, _VECTORS.c.passage_id)
    if documents is not None:
        nearest = nearest.where(_VECTORS.c.document_id.in_(documents))
    return _best_first(session.connection().execute(nearest))


def walk_vectors(
    session: Session,
    generation: SearchedGeneration,
    vector: Vector,
    *,
    limit: int,
    documents: MatchingDocuments | None = None,
    order: str = ITERATIVE_SCAN,
) -> list[tuple[int, float]]:
    """As :func:`search_vectors`, by the HNSW index: it may miss some, and find fewer than there are."""
    width = min(MAX_WIDTH, max(MIN_WIDTH, 2 * limit))
    connection = session.connection()
    settings = {"order": order, "width": str(width), "walked": str(MAX_WALKED), "memory": WALK_MEMORY}
    connection.execute(_BEGIN_WALK, settings)
    distance = _distance(cast(_VECTORS.c.vector, Halfvec(generation.dimension)), generation, vector)
    nearest = _nearest(generation, distance, max(limit, MIN_NEAR)).order_by(distance)
    if documents is not None:
        # IS TRUE keeps it from becoming a join, which has no order: the ids are hashed once, and the walk asks there.
        nearest = nearest.where(_VECTORS.c.document_id.in_(documents).is_(True))
    found = _best_first(connection.execute(nearest))
    connection.execute(_END_WALK)
    return found[:limit]


def _nearest(generation: SearchedGeneration, distance: ColumnElement[float], limit: int) -> Select[int, float]:
    return select(_VECTORS.c.passage_id, -distance).where(_in(generation)).limit(limit)


def _best_first(rows: Iterable[Row[int, float]]) -> list[tuple[int, float]]:
    return sorted(((passage_id, product) for passage_id, product in rows), key=lambda hit: (-hit[1], hit[0]))


def _are_few(session: Session, generation: SearchedGeneration, documents: MatchingDocuments) -> bool:
    some = select(literal(1)).where(_in(generation), _VECTORS.c.document_id.in_(documents)).limit(MAX_SCANNED + 1)
    return (session.scalar(select(func.count()).select_from(some.subquery())) or 0) <= MAX_SCANNED


def _in(generation: SearchedGeneration) -> ColumnElement[bool]:
    # Written into the statement, not bound: PostgreSQL must see that the index of this generation will do.
    return _VECTORS.c.generation_id == bindparam("generation_id", generation.id, BigInt, literal_execute=True)


def _distance(vectors: ColumnElement[Any], generation: SearchedGeneration, vector: Vector) -> ColumnElement[float]:
    """The negative inner product, pgvector's ``<#>``."""
    wanted = cast(literal(as_text(vector), Text), Halfvec(generation.dimension))
    return vectors.op("<#>", return_type=Double())(wanted)


def as_text(vector: Vector) -> str:
    """A vector as pgvector reads it; every 16-bit value exactly."""
    return f"[{','.join(map(repr, vector.astype(np.float64).tolist()))}]"
