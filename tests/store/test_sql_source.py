"""Rows of somebody else's database, on real SQLite and PostgreSQL."""

import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from rag.errors import InvalidInput, StoreUnavailable
from rag.store.sql_source import SqlSource

QUERY = "SELECT id, title FROM articles ORDER BY id"


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with a table of two articles."""
    url = f"sqlite:///{tmp_path / 'shop é.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_copy")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE articles (id INTEGER PRIMARY KEY, title TEXT)"))
        connection.execute(text("INSERT INTO articles VALUES (1, '100% wool: 5'), (2, NULL)"))
    engine.dispose()
    return url


def count(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        number: int = connection.execute(text("SELECT count(*) FROM articles")).scalar_one()
    engine.dispose()
    return number


def test_rows_come_by_column(shop: str) -> None:
    source = SqlSource(shop, f"  {QUERY} ; ")
    assert list(source.rows()) == [{"id": 1, "title": "100% wool: 5"}, {"id": 2, "title": None}]


def test_colons_and_percent_signs_of_a_query_are_left_alone(shop: str) -> None:
    query = "SELECT id FROM articles WHERE title LIKE '100% wool: %' AND title <> ':x'"
    assert list(SqlSource(shop, query).rows()) == [{"id": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM articles",
        "DELETE FROM articles RETURNING id",
        "UPDATE articles SET title = 'x'",
        "INSERT INTO articles VALUES (3, 'x')",
        "DROP TABLE articles",
        "CREATE TABLE more (id INTEGER)",
        "SELECT 1; DELETE FROM articles",
        "SELECT 1; COMMIT; DELETE FROM articles",
        "COMMIT",
        "WITH gone AS (DELETE FROM articles RETURNING id) SELECT id FROM gone",
        "SELEKT 1",
        "SELECT nothing FROM articles",
        "SELECT * FROM nowhere",
    ],
)
def test_what_is_not_one_reading_statement_is_refused(shop: str, query: str) -> None:
    with pytest.raises(InvalidInput, match=r"^The query (fails|gives no rows|cannot be run)"):
        list(SqlSource(shop, query).rows())
    assert count(shop) == 2


@pytest.mark.parametrize("query", ["ATTACH DATABASE '{}' AS other", "PRAGMA query_only = OFF", "VACUUM INTO '{}'"])
def test_a_query_over_sqlite_touches_no_other_file(tmp_path: Path, query: str) -> None:
    path, other = tmp_path / "shop.db", tmp_path / "other.db"
    sqlite3.connect(path).close()
    with pytest.raises(InvalidInput, match="does more than read tables"):
        list(SqlSource(f"sqlite:///{path}", query.format(other)).rows())
    assert not other.exists()


def test_functions_of_postgresql_that_write_are_refused(postgres_copy: str) -> None:
    engine = create_engine(postgres_copy)
    with engine.begin() as connection:
        connection.execute(text("CREATE SEQUENCE numbers"))
    engine.dispose()
    with pytest.raises(InvalidInput, match="read-only transaction"):
        list(SqlSource(postgres_copy, "SELECT nextval('numbers')").rows())


def test_two_columns_of_one_name_are_refused(shop: str) -> None:
    with pytest.raises(InvalidInput, match="two columns the name 'id'; rename one with AS"):
        list(SqlSource(shop, "SELECT id, title AS id FROM articles").rows())


def test_rows_are_streamed(shop: str) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    wide = "'" + "x" * 1_000 + "'"
    rows = SqlSource(shop, f"{numbers} SELECT i, {wide} || i AS filler FROM n").rows()  # noqa: S608
    next(rows)
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows) == 99_999
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_reading_that_is_given_up_leaves_nothing_open(shop: str) -> None:
    rows: Iterator[object] = SqlSource(shop, QUERY).rows()
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    engine = create_engine(shop)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE articles"))
    engine.dispose()


def test_the_uri_names_host_database_and_query_but_no_password() -> None:
    source = SqlSource("postgresql://anna:secret@db.example.org:5433/shop", QUERY)
    same = SqlSource("postgresql+psycopg://ben@db.example.org:5433/shop", f"{QUERY};\n")
    assert source.uri == same.uri
    assert source.uri.startswith("sql:db.example.org:5433/shop?")
    assert len(source.uri.partition("?")[2]) == 12
    assert source.uri != SqlSource("postgresql://db.example.org:5433/shop", "SELECT 1").uri


def test_the_uri_of_a_file_is_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / "a b.db").close()
    monkeypatch.chdir(tmp_path)
    assert SqlSource("sqlite:///a b.db", QUERY).uri.partition("?")[0] == f"sql:{tmp_path}/a%20b.db"


@pytest.mark.parametrize(
    ("url", "query", "reason"),
    [
        ("nonsense", QUERY, "--sql is no database URL"),
        ("mysql://host/shop", QUERY, "mysql, which is not supported"),
        ("sqlite:////nowhere/shop.db", QUERY, "There is no SQLite database '/nowhere/shop.db'"),
        ("sqlite://", QUERY, "There is no SQLite database"),
        ("postgresql://host", QUERY, "--sql names no database"),
        ("postgresql://host/shop", " ; ", "The query is empty"),
    ],
)
def test_a_wrong_source_is_named(url: str, query: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        SqlSource(url, query)


def test_a_server_that_does_not_answer_is_unavailable_and_the_password_kept_secret() -> None:
    with pytest.raises(StoreUnavailable, match="The database 127.0.0.1:1/shop does not answer") as caught:
        list(SqlSource("postgresql://anna:secret@127.0.0.1:1/shop", QUERY).rows())
    assert "secret" not in str(caught.value)


def test_a_wrong_password_is_kept_secret(postgres_copy: str) -> None:
    url = make_url(postgres_copy).set(username="nobody", password="topsecret")
    with pytest.raises(StoreUnavailable) as caught:
        list(SqlSource(url.render_as_string(hide_password=False), QUERY).rows())
    assert "topsecret" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("no database at all" * 100)
    with pytest.raises((InvalidInput, StoreUnavailable), match="not a database"):
        list(SqlSource(f"sqlite:///{tmp_path / 'a.db'}", QUERY).rows())
