"""Search inside PostgreSQL: how good beside the embedded one and beside ts_rank, how fast, and what filters cost.

    python benchmarks/postgres_search.py --url postgresql+psycopg://… quality PATH... [--limit 300]
    python benchmarks/postgres_search.py --url postgresql+psycopg://… speed [--size 20000] [--queries 200]
    python benchmarks/postgres_search.py --url postgresql+psycopg://… vectors [--size 20000] [--queries 100]

The database must be empty. *quality* takes folders in BEIR's layout or files in SQuAD format, ingests them, and asks
both engines over the same passages; ``ts_rank`` and ``ts_rank_cd`` rank the passages with any of the query's words by
the same stems. *speed* ingests made passages (those of ``benchmarks/scale.py``) and searches them through the whole
retriever with both engines, SQL included; the query's vector is a stand-in's, so its embedding takes nothing. *vectors*
stores made vectors (those of ``benchmarks/vectors.py``) and searches them by a scan and by the HNSW index, in both
orders of ``hnsw.iterative_scan``, under filters that leave a share of the documents.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import psycopg
from scale import PASSAGES_PER_DOCUMENT, TOP_K, MadeWords, open_made, times_of
from sqlalchemy import bindparam, column, select, text
from vectors import DIMENSION, NUM_AT_ONCE, Data, make_data, rate_at_once

from rag.assemble import Rag
from rag.config import Settings
from rag.evaluate.corpus import JudgedQuery, build_judged_corpus, sample
from rag.evaluate.metrics import ndcg
from rag.index.index_set import IndexSet
from rag.index.search_engine import SearchIndex
from rag.ingest.labels import NO_LABELS
from rag.records import OWNER, SearchMode, SearchOptions
from rag.store import migrate, postgres_search
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.found_passages import load_hits
from rag.store.postgres_graphs import drop_graphs, graph_bytes, make_graph
from rag.store.postgres_search import SearchedGeneration, scan_vectors, walk_vectors
from rag.store.postgres_search_setup import set_up_search

CANDIDATES = 100
SHARES = (1.0, 0.5, 0.1, 0.01)
TS_RANK = """
    WITH query AS (
        SELECT string_agg(quote_literal(word), ' | ')::tsquery AS words FROM rag_search.words_of(%(query)s)
    )
    SELECT passage_id FROM bench_words b, query q WHERE b.words @@ q.words
    ORDER BY {function}(b.words, q.words, 1) DESC, passage_id LIMIT 100
"""
WALKS = text("SELECT pg_stat_get_xact_numscans(to_regclass('rag_search.hnsw_' || :id))")
"""How often the transaction has used the HNSW index of a generation."""
SIZES = text("""
    SELECT relid::regclass::text AS name, pg_total_relation_size(relid) FROM pg_stat_user_tables
    WHERE relname NOT LIKE 'bench%' AND pg_total_relation_size(relid) > 1000000 ORDER BY 2 DESC
""")
Found = Callable[[JudgedQuery], Sequence[int]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="An empty PostgreSQL database with pgvector.")
    steps = parser.add_subparsers(dest="step", required=True)
    quality = steps.add_parser("quality")
    quality.add_argument("paths", type=Path, nargs="+")
    quality.add_argument("--limit", type=int, default=None, help="Only a sample of so many queries of each.")
    speed = steps.add_parser("speed")
    speed.add_argument("--size", type=int, default=20_000, help="Passages.")
    speed.add_argument("--queries", type=int, default=200)
    made = steps.add_parser("vectors")
    made.add_argument("--size", type=int, default=20_000)
    made.add_argument("--queries", type=int, default=100)
    made.add_argument("--limit", type=int, default=CANDIDATES, help="Passages wanted; recall is of as many.")
    options = parser.parse_args()
    database = Database(options.url)
    migrate.upgrade(database)
    set_up_search(database)
    if options.step == "quality":
        measure_quality(options.url, options.paths, options.limit)
    elif options.step == "speed":
        measure_speed(options.url, options.size, options.queries)
    else:
        measure_vectors(database, make_data(options.size, options.queries), options.limit)
    database.dispose()


def measure_quality(url: str, paths: Sequence[Path], limit: int | None) -> None:
    """Print nDCG@10, hit@1 and the time of a search (without embedding the query) of each way to search."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=url, data_dir=Path(folder), search="postgres")
        with Rag(settings) as service:
            for path in paths:
                collection, queries = build_judged_corpus(
                    path,
                    split="test",
                    ingester=service.ingester,
                    database=service.database,
                    on_progress=lambda _: None,
                )
                queries = sample([query for query in queries if query.grades], limit=limit, seed=0)
                print(f"{path.stem}, {len(queries)} queries | nDCG@10 | hit@1 | p50, ms", flush=True)
                for name, found in ways(service, collection, url).items():
                    report(service, name, found, queries)
            report_sizes(service.database)


def report_sizes(database: Database) -> None:
    """Print what tables fill for each passage, their indexes included."""
    with database.read() as session:
        num_passages = session.scalar(text("SELECT count(*) FROM rag_search.passages")) or 1
        for name, num_bytes in session.execute(SIZES):
            print(f"{name}: {num_bytes / num_passages:,.0f} bytes a passage")


def ways(service: Rag, collection: Collection, url: str) -> Mapping[str, Found]:
    """The ways to search a collection, each as passages in their order."""
    embedded = IndexSet(service.database, service.embedders, service.settings.index_dir).get(collection)
    postgres = service.indexes.get(collection)
    connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    # What a column of its own and a GIN index would hold.
    connection.execute("DROP TABLE IF EXISTS bench_words")
    connection.execute(
        "CREATE TABLE bench_words AS SELECT p.id AS passage_id, to_tsvector('rag_search.english', rag_search.plain("
        "rag_search.indexed_text(d.title, p.headings, p.text))) AS words "
        "FROM passages p JOIN documents d ON d.id = p.document_id WHERE d.collection_id = %s",
        [collection.id],
    )
    connection.execute("CREATE INDEX ON bench_words USING gin (words)")
    connection.execute("ANALYZE bench_words")
    vectors: dict[str, np.ndarray] = {}

    def by(index: SearchIndex, mode: SearchMode) -> Found:
        def found(query: JudgedQuery) -> Sequence[int]:
            vector = vectors[query.text]
            return index.searcher({}, OWNER)(
                query.text,
                vector,
                mode=mode,
                candidates=CANDIDATES,
                keyword_weight=service.settings.keyword_weight,
                fusion="convex",
            ).passage_ids

        return found

    def ranked_by(function: str) -> Found:
        statement = TS_RANK.format(function=function)
        return lambda query: [row[0] for row in connection.execute(statement, {"query": query.text})]

    def prepared(found: Found) -> Found:
        def after_embedding(query: JudgedQuery) -> Sequence[int]:
            if query.text not in vectors:
                vectors[query.text] = service.embedders.get(collection.embedding_model).embed_query(query.text)
            started = time.perf_counter()
            passages = found(query)
            TIMES.append((time.perf_counter() - started) * 1000)
            return passages

        return after_embedding

    return {
        "keyword, embedded": prepared(by(embedded, "keyword")),
        "keyword, postgres": prepared(by(postgres, "keyword")),
        "ts_rank": prepared(ranked_by("ts_rank")),
        "ts_rank_cd": prepared(ranked_by("ts_rank_cd")),
        "vector, embedded": prepared(by(embedded, "vector")),
        "vector, postgres": prepared(by(postgres, "vector")),
        "hybrid, embedded": prepared(by(embedded, "hybrid")),
        "hybrid, postgres": prepared(by(postgres, "hybrid")),
    }


TIMES: list[float] = []


def report(service: Rag, name: str, found: Found, queries: Sequence[JudgedQuery]) -> None:
    """Print a line about one way to search."""
    TIMES.clear()
    gains, num_first = [], 0
    for query in queries:
        passages = list(found(query))
        with service.database.read() as session:
            rows = load_hits(session, passages)
        documents = list(dict.fromkeys(rows[one].document_id for one in passages if one in rows))
        gains.append(ndcg(documents, query.grades, k=10))
        num_first += bool(documents) and query.grades.get(documents[0], 0) > 0
    p50 = statistics.median(TIMES)
    print(f"| {name} | {statistics.fmean(gains):.3f} | {num_first / len(queries):.3f} | {p50:.1f} |", flush=True)


def measure_speed(url: str, size: int, num_queries: int) -> None:
    """Print how long searches take one at a time, and how many there are a second with several callers at once."""
    words = MadeWords()
    queries = words.queries(num_queries)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_made(Path(folder), database_url=url, search="postgres") as postgres,
        open_made(Path(folder), database_url=url, search="embedded") as embedded,
    ):
        ingested = postgres.ingester.ingest_documents(
            words.documents(size // PASSAGES_PER_DOCUMENT),
            file="made:all",
            file_sha256="",
            collection="default",
            labels=NO_LABELS,
            on_progress=lambda _: None,
        )
        for service in (embedded, postgres):
            service.save_index("default")
        with postgres.database.autocommit() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # what autovacuum does within a minute
        print(f"{ingested.num_passages:,} passages, {num_queries} queries\n")
        print(f"| search | engine | p50, ms | p95, ms | searches/s, {NUM_AT_ONCE} at once |\n|---|---|---|---|---|")
        for mode in get_args(SearchMode):
            for name, service in {"embedded": embedded, "PostgreSQL": postgres}.items():
                search = partial(service.search, options=SearchOptions(mode=mode), top_k=TOP_K)
                p50, p95 = np.percentile(times_of(search, queries), [50, 95])
                rate = rate_at_once(search, queries)
                print(f"| {mode} | {name} | {p50:.1f} | {p95:.1f} | {rate:.0f} |", flush=True)


def measure_vectors(database: Database, data: Data, limit: int) -> None:
    """Print time and recall of a scan and of both kinds of walk, at each share of the documents."""
    generation = _store(database, data)
    print("| search | share of the documents | by the HNSW index | recall | hits | p50, ms | p95, ms |", flush=True)
    for share in SHARES:
        _report_vectors(database, generation, data, limit, share, "scan", scan_vectors)
    started = time.perf_counter()
    make_graph(database, generation, len(data.vectors))
    with database.read() as session:
        size = graph_bytes(session, generation) / len(data.vectors)
    print(f"HNSW index made in {time.perf_counter() - started:.0f} s, {size:.0f} bytes a vector", flush=True)
    for order in ("strict_order", "relaxed_order", "off"):
        for share in SHARES:

            def walk(*arguments: object, order: str = order, **more: object) -> list[tuple[int, float]]:
                return walk_vectors(*arguments, order=order, **more)  # type: ignore[arg-type]

            _report_vectors(database, generation, data, limit, share, order, walk)
    drop_graphs(database, generation)


def _store(database: Database, data: Data) -> SearchedGeneration:
    with database.migrate() as connection:
        generation_id: int = connection.execute(
            text(
                "INSERT INTO rag_search.generations (collection_id, embedding_model, dimension) "
                "VALUES (1, 'made', :dimension) RETURNING id"
            ).bindparams(dimension=DIMENSION)
        ).scalar_one()
        put = text("INSERT INTO rag_search.vectors VALUES (:id, :generation, :document, CAST(:vector AS halfvec))")
        for start in range(0, len(data.vectors), 1_000):
            connection.execute(
                put,
                [
                    {
                        "id": start + n + 1,
                        "generation": generation_id,
                        "document": start + n,
                        "vector": postgres_search.as_text(vector),
                    }
                    for n, vector in enumerate(data.vectors[start : start + 1_000])
                ],
            )
        connection.exec_driver_sql("ANALYZE rag_search.vectors")
        connection.execute(
            text(
                "CREATE TABLE bench_documents AS SELECT g - 1 AS id, random() AS place FROM generate_series(1, :n) g"
            ).bindparams(bindparam("n", len(data.vectors), literal_execute=True))
        )
        connection.exec_driver_sql("CREATE INDEX ON bench_documents (place)")
        connection.exec_driver_sql("ANALYZE bench_documents")
    return SearchedGeneration(id=generation_id, dimension=DIMENSION, has_graph=True)


def _report_vectors(
    database: Database,
    generation: SearchedGeneration,
    data: Data,
    limit: int,
    share: float,
    name: str,
    search: Callable[..., list[tuple[int, float]]],
) -> None:
    documents = None
    if share < 1:
        documents = select(column("id")).select_from(text("bench_documents")).where(text(f"place < {share}"))
    times, num_true, num_found, num_hits, num_walks = [], 0, 0, 0, 0
    for query in data.queries:
        with database.read() as session:
            started = time.perf_counter()
            hits = search(session, generation, query, limit=limit, documents=documents)
            times.append((time.perf_counter() - started) * 1000)
            num_walks += bool(session.scalar(WALKS, {"id": generation.id}))
            true = (
                hits if name == "scan" else scan_vectors(session, generation, query, limit=limit, documents=documents)
            )
        num_true, num_hits = num_true + len(true), num_hits + len(hits)
        num_found += len({one for one, _ in true} & {one for one, _ in hits})
    p50, p95 = np.percentile(times, [50, 95])
    print(
        f"| {name} | {share:.0%} | {num_walks / len(times):.0%} | {num_found / num_true:.3f} | "
        f"{num_hits / num_true:.2f} | {p50:.1f} | {p95:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
