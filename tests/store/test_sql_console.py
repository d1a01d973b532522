"""Queries of people's own: they read what they may, and do nothing else."""

import json
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from rag.errors import InvalidInput, StoreUnavailable
from rag.store import readable_tables, views
from rag.store.collections import get_or_create_collection
from rag.store.database import Database
from rag.store.reader_role import grant_reading
from rag.store.sql_console import readable_columns, run_query
from rag.store.tables import Base

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT {} FROM n"


@pytest.fixture
def log(database: Database) -> Database:
    """A database with one collection, and with a table of secrets that a view shows as well."""
    with database.write() as session:
        get_or_create_collection(session, "handbooks", embedding_model="model")
    with database.migrate() as connection:
        for statement in (
            "INSERT INTO users (id, created_at) VALUES ('amara', '2025-06-02 09:15:00')",
            "INSERT INTO api_keys (id, user_id, name, secret_sha256, role, created_at)"
            " VALUES (1, 'amara', 'laptop', 'topsecret', 'reader', '2025-06-02 09:15:00')",
            "CREATE VIEW keys_of_people AS SELECT secret_sha256 FROM api_keys",
        ):
            connection.exec_driver_sql(statement)
    return database


def num_collections(database: Database) -> int:
    with database.read() as session:
        return session.scalar(text("SELECT count(*) FROM collections")) or 0


def test_rows_come_with_their_columns(log: Database) -> None:
    found = run_query(log, " SELECT name, id AS number, id > 0 AS yes FROM collections WHERE name LIKE '%book%'; ")
    assert (found.columns, found.rows, found.has_more) == (("name", "number", "yes"), (("handbooks", 1, 1),), False)


def test_moments_and_fractions_are_the_same_on_both_databases(log: Database) -> None:
    with log.write() as session:
        moment = "'2025-06-02 09:15:00.000000'" + ("" if log.dialect == "sqlite" else "::timestamp AT TIME ZONE 'UTC'")
        session.execute(text(f"UPDATE collections SET created_at = {moment}"))  # noqa: S608
    found = run_query(log, "SELECT created_at, avg(CAST(id AS DOUBLE PRECISION)) AS mean FROM collections GROUP BY 1")
    assert found.rows == (("2025-06-02 09:15:00.000000", 1.0),)


def test_rows_beyond_the_limit_are_left_out_and_told(log: Database) -> None:
    query = NUMBERS.format(1_000, "i")
    found = run_query(log, query, limit=3)
    assert (found.rows, found.has_more) == (((1,), (2,), (3,)), True)
    assert not run_query(log, query, limit=1_000).has_more


def test_common_tables_and_counts_can_be_used(log: Database) -> None:
    assert run_query(log, NUMBERS.format(5, "count(*) AS num")).rows == ((5,),)
    assert run_query(log, "SELECT count(*) AS num FROM answer_review").rows == ((0,),)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM collections",
        "DELETE FROM collections RETURNING id",
        "UPDATE collections SET name = 'x'",
        "DROP VIEW answer_review",
        "CREATE TABLE more (id INTEGER)",
        "SELECT 1; DELETE FROM collections",
        "SELECT 1; COMMIT; DELETE FROM collections",
        "COMMIT; DELETE FROM collections",
        "WITH gone AS (DELETE FROM collections RETURNING id) SELECT id FROM gone",
        "SELEKT 1",
        "SELECT nothing FROM collections",
        "SELECT id, name AS id FROM collections",
    ],
)
def test_what_is_not_one_reading_statement_is_refused(log: Database, query: str) -> None:
    with pytest.raises(InvalidInput, match=r"^The query (fails|gives no rows|cannot be run|gives two columns)"):
        run_query(log, query)
    assert num_collections(log) == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT secret_sha256 FROM api_keys",
        "SELECT SECRET_SHA256 FROM API_KEYS",
        "SELECT count(*) AS num FROM api_keys",
        "SELECT * FROM keys_of_people",
        "SELECT name FROM collections WHERE EXISTS (SELECT 1 FROM api_keys WHERE secret_sha256 LIKE 't%')",
        "WITH k AS (SELECT secret_sha256 FROM api_keys) SELECT length(secret_sha256) AS n FROM k",
        "SELECT 1 AS one FROM collections UNION ALL SELECT id FROM api_keys",
        "SELECT (SELECT secret_sha256 FROM api_keys) AS stolen",
    ],
)
def test_tables_that_are_kept_back_cannot_be_read_by_any_way(log: Database, query: str) -> None:
    with pytest.raises(InvalidInput, match=r"kept back|more than read tables") as caught:
        run_query(log, query)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT query_to_xml('SELECT * FROM api_keys', true, false, '') AS x",
        "SELECT U&\"\\0071uery_to_xml\"('SELECT * FROM api_keys', true, false, '') AS x",
        "SELECT table_to_xml('answers', true, false, '') AS x",
        "SELECT * FROM ts_stat('SELECT to_tsvector(secret_sha256) FROM api_keys')",
        "SELECT set_config('role', 'none', true) AS x",
        "SELECT set_config('statement_timeout', '0', true) AS x FROM collections",
        "SELECT pg_read_file('/etc/passwd') AS x",
        "SELECT id FROM collections WHERE pg_sleep(0) IS NOT NULL",
        "SELECT rolpassword FROM pg_authid",
        "SELECT query FROM pg_stat_activity",
        "SELECT nextval('collections_id_seq') AS x",
    ],
)
def test_functions_and_catalogues_of_postgresql_are_no_way_around(postgres_copy: str, query: str) -> None:
    database = Database(postgres_copy)
    try:
        with pytest.raises(InvalidInput, match=r"kept back|does more than read|read-only transaction"):
            run_query(database, query)
    finally:
        database.dispose()


@pytest.mark.parametrize(
    "query",
    [
        "ATTACH DATABASE '/tmp/x.db' AS other",
        "PRAGMA query_only = OFF",
        "VACUUM INTO '/tmp/x.db'",
        "SELECT load_extension('x') AS x",
        "SELECT name FROM pragma_table_info('answers')",
    ],
)
def test_sqlite_does_nothing_but_select(sqlite_database: Database, query: str) -> None:
    with pytest.raises(InvalidInput, match=r"more than read|kept back|not authorized"):
        run_query(sqlite_database, query)


def test_query_that_takes_too_long_is_ended(log: Database) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInput, match=r"longer than 0\.3 seconds; narrow it"):
        run_query(log, NUMBERS.format(10**9, "count(*) AS num"), timeout_s=0.3)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("query", "options"), [(" ; ", {}), ("SELECT 1", {"limit": 0}), ("SELECT 1", {"timeout_s": 0})]
)
def test_empty_queries_and_limits_are_refused(sqlite_database: Database, query: str, options: dict) -> None:
    with pytest.raises(InvalidInput):
        run_query(sqlite_database, query, **options)


def test_database_that_is_not_there_is_named() -> None:
    with pytest.raises(StoreUnavailable, match="no database /nowhere/rag.db yet"):
        run_query(Database("sqlite:////nowhere/rag.db"), "SELECT 1 AS one")


def test_what_can_be_read_is_listed_without_what_is_kept_back(log: Database) -> None:
    columns = readable_columns(log)
    assert list(columns)[0] == "answer_review"
    assert "question" in columns["answers"]
    assert not {"api_keys", "keys_of_people"} & set(columns)


def test_every_table_is_either_readable_or_kept_back() -> None:
    tables = set(Base.metadata.tables) | {"alembic_version"}
    assert tables == readable_tables.READABLE_TABLES | readable_tables.KEPT_BACK
    assert not readable_tables.READABLE_TABLES & readable_tables.KEPT_BACK


@pytest.fixture
def reader(postgres_copy: str) -> Iterator[Database]:
    """A database seen by its read-only role."""
    owner = Database(postgres_copy)
    assert "answer_review" in grant_reading(owner)
    assert grant_reading(owner) == grant_reading(owner)
    with owner.migrate() as connection:
        connection.exec_driver_sql("ALTER ROLE rag_reader LOGIN PASSWORD 'reading'")
    owner.dispose()
    url = make_url(postgres_copy).set(username="rag_reader", password="reading")
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.dispose()


def test_reader_role_reads_the_log_and_nothing_else(reader: Database) -> None:
    engine = create_engine(reader.url)

    def error_of(statement: str) -> str:
        with engine.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            with pytest.raises(DBAPIError) as caught:
                connection.execute(text(statement))
        return str(caught.value)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM answer_review")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM answers")).scalar_one() == 0
        assert connection.execute(text("SHOW default_transaction_read_only")).scalar_one() == "on"
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "30s"
    assert "permission denied" in error_of("SELECT * FROM api_keys")
    for statement in ("DELETE FROM answers", "INSERT INTO feedback (answer_id) VALUES (1)", "CREATE TABLE t (i int)"):
        assert "permission denied" in error_of(statement) or "read-only" in error_of(statement)
    engine.dispose()


def test_console_works_as_the_reader_role_and_takes_it_where_it_can(reader: Database, postgres_copy: str) -> None:
    assert run_query(reader, "SELECT current_user AS me").rows == (("rag_reader",),)
    owner = Database(postgres_copy)
    assert run_query(owner, "SELECT current_user AS me").rows == (("rag_reader",),)
    owner.dispose()


def test_views_made_anew_can_still_be_read_by_the_role(reader: Database, postgres_copy: str) -> None:
    owner = Database(postgres_copy)
    with owner.migrate() as connection:
        views.drop_views(connection.exec_driver_sql)
        views.create_views(connection.exec_driver_sql, "postgresql")
    owner.dispose()
    assert json.dumps(run_query(reader, "SELECT count(*) AS num FROM review_queue").rows) == "[[0]]"


def test_sqlite_has_no_roles(sqlite_database: Database) -> None:
    with pytest.raises(InvalidInput, match="SQLite has no roles"):
        grant_reading(sqlite_database)
