"""Rows of a query as documents."""

import sqlite3
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import make_url

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, LimitExceeded, NotFound, UnreadableDocument
from rag.ingest.labels import Labels
from rag.ingest.readers.limits import limits_of
from rag.ingest.sql_rows import ColumnNames, row_documents
from rag.records import Document
from rag.store.collections import get_collection
from rag.store.documents import list_documents
from rag.store.runs import get_run
from rag.store.sql_source import SqlSource

ROWS = [("A/1", "Whales", "Whales are mammals. They breathe air."), ("B 2", "Herons", "Herons are birds of the water.")]
BODY = ColumnNames(text="body")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE articles (id TEXT, title TEXT, body TEXT, price REAL, photo BLOB)")
        connection.executemany("INSERT INTO articles VALUES (?, ?, ?, 9.5, NULL)", ROWS)
    connection.close()
    return path


@pytest.fixture
def local(sqlite_url: str, tmp_path: Path) -> Rag:
    with Rag(Settings(database_url=sqlite_url, data_dir=tmp_path / "data")) as opened:
        yield opened


def change(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def documents(path: Path, query: str, columns: ColumnNames, **changed_limits: int) -> list[Document]:
    return list(row_documents(SqlSource(f"sqlite:///{path}", query), columns, limits_of(Settings(**changed_limits))))


def test_a_row_is_a_document_with_its_other_columns_as_metadata(shop: Path) -> None:
    source = SqlSource(f"sqlite:///{shop}", "SELECT * FROM articles ORDER BY id")
    columns = ColumnNames(id="id", title="title", text="body")
    whales, herons = row_documents(source, columns, limits_of(Settings()))
    assert (whales.file, whales.source) == (source.uri, f"{source.uri}#A%2F1")
    assert herons.source == f"{source.uri}#B%202"
    assert (whales.title, whales.text) == ROWS[0][1:]
    assert whales.metadata == {"id": "A/1", "title": "Whales", "price": 9.5}


def test_without_a_text_column_the_text_is_the_whole_row(shop: Path) -> None:
    found = documents(shop, "SELECT id, title, price FROM articles", ColumnNames())
    assert (found[0].title, found[0].text) == ("shop, A/1", "id: A/1; title: Whales; price: 9.5")


def test_values_become_scalars_with_dates_in_iso_8601(postgres_copy: str) -> None:
    with psycopg.connect(postgres_copy.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t (id uuid, at timestamptz, day date, clock time, price numeric, n numeric, j jsonb, b bytea)"
        )
        connection.execute(
            "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, '{\"a\": 1}', 'x')",
            (
                UUID(int=7),
                datetime(2024, 3, 1, 10, 30, tzinfo=UTC),
                date(2024, 3, 2),
                time(9, 5),
                Decimal("19.90"),
                Decimal(3),
            ),
        )
    (document,) = row_documents(SqlSource(postgres_copy, "SELECT * FROM t"), ColumnNames(), limits_of(Settings()))
    at = document.metadata["at"]
    assert isinstance(at, str)
    assert datetime.fromisoformat(at) == datetime(2024, 3, 1, 10, 30, tzinfo=UTC)
    assert {**document.metadata, "at": None} == {
        "id": "00000000-0000-0000-0000-000000000007",
        "at": None,
        "day": "2024-03-02",
        "clock": "09:05:00",
        "price": 19.9,
        "n": 3,
    }
    assert 'price: 19.90; n: 3; j: {"a": 1}' in document.text
    assert document.losses == ("Columns of bytes were passed over: b.",)


def test_rows_that_cannot_be_told_apart_or_hold_nothing_are_lost_and_counted(shop: Path) -> None:
    change(
        shop,
        "INSERT INTO articles VALUES (NULL, 't', 'Nameless.', 1, NULL)",
        "INSERT INTO articles VALUES ('A/1', 't', 'Again.', 1, NULL)",
        "INSERT INTO articles VALUES ('C', 't', ' ', 1, x'00ff')",
        "INSERT INTO articles VALUES ('D', 't', 'Last.', 1, x'00ff')",
    )
    found = documents(shop, "SELECT * FROM articles", ColumnNames(text="body"))
    assert [document.text for document in found] == [ROWS[0][2], ROWS[1][2], "Last."]
    assert [document.losses for document in found[:2]] == [(), ()]
    assert found[2].losses == (
        "Rows without an id in column id were passed over: 1.",
        "Of rows with the same id only the first was read: A/1.",
        "Rows without text were passed over: C.",
        "Columns of bytes were passed over: photo.",
    )


@pytest.mark.parametrize("name", ["id", "title", "text"])
def test_a_column_that_the_query_lacks_is_named(shop: Path, name: str) -> None:
    columns = ColumnNames(**{"id": "id", name: "nope"})
    with pytest.raises(InvalidInput, match="The query has no column 'nope'; it has id, title, body, price, photo"):
        documents(shop, "SELECT * FROM articles", columns)


def test_rows_none_of_which_can_be_read_are_refused(shop: Path) -> None:
    with pytest.raises(UnreadableDocument, match="No row of the query can be read. Rows without text"):
        documents(shop, "SELECT id, '' AS body FROM articles", ColumnNames(text="body"))


def test_a_text_over_the_limit_is_refused(shop: Path) -> None:
    with pytest.raises(LimitExceeded, match="max_document_chars"):
        documents(shop, "SELECT * FROM articles", ColumnNames(text="body"), max_document_chars=20)


def test_running_it_again_updates_what_changed_and_removes_what_is_gone(local: Rag, shop: Path) -> None:
    url, query = f"sqlite:///{shop}", "SELECT id, title, body FROM articles"
    columns, labels = ColumnNames(title="title", text="body"), Labels(tags={"from": "shop"})
    report = local.ingest_sql(url, query, columns=columns, labels=labels)
    assert (report.num_added, report.num_refused) == (2, 0)
    again = local.ingest_sql(url, query, columns=columns, labels=labels)
    assert (again.num_unchanged, again.num_passages) == (2, 0)
    change(
        shop,
        "UPDATE articles SET body = 'Whales sing over hundreds of miles.' WHERE id = 'A/1'",
        "DELETE FROM articles WHERE id = 'B 2'",
        "INSERT INTO articles VALUES ('C', 'Owls', 'Owls hunt at night.', 1, NULL)",
    )
    changed = local.ingest_sql(url, query, columns=columns, labels=labels)
    assert (changed.num_added, changed.num_updated, changed.num_removed) == (1, 1, 1)
    (hit,) = local.search("whales sing", top_k=1, filters={"from": "shop"})
    assert (hit.title, hit.text) == ("Whales", "Whales sing over hundreds of miles.")
    assert not any("Herons" in hit.text for hit in local.search("herons", top_k=10))


def test_dry_run_says_what_a_run_over_rows_does_and_writes_nothing(local: Rag, shop: Path) -> None:
    url, query = f"sqlite:///{shop}", "SELECT id, title, body, price FROM articles ORDER BY id"
    columns = ColumnNames(title="title", text="body")
    steps = [
        (),
        ("INSERT INTO articles VALUES ('C', 'Copy', 'Whales are mammals. They breathe air.', 9.5, NULL)",),
        (
            "UPDATE articles SET body = 'Whales sing.' WHERE id = 'A/1'",
            "UPDATE articles SET price = 1 WHERE id = 'B 2'",
        ),
        ("DELETE FROM articles WHERE id = 'B 2'", "INSERT INTO articles VALUES (NULL, 'x', 'Lost.', 1, NULL)"),
    ]
    seen = []
    for statements in steps:
        change(shop, *statements)
        preview = local.ingest_sql(url, query, columns=columns, dry_run=True)
        report = local.ingest_sql(url, query, columns=columns)
        assert (preview.run_id, preview.num_passages) == (None, 0)
        for name in ("num_added", "num_updated", "num_unchanged", "num_exact_duplicates", "num_removed", "partly_read"):
            assert getattr(preview, name) == getattr(report, name), name
        assert preview.exact_duplicates == report.exact_duplicates
        seen.append((report.num_added, report.num_updated, report.num_unchanged, report.num_removed))
    assert seen == [(2, 0, 0, 0), (0, 0, 2, 0), (0, 2, 1, 0), (0, 0, 2, 1)]


def test_dry_run_of_rows_makes_no_collection_and_reports_a_query_that_fails(local: Rag, shop: Path) -> None:
    report = local.ingest_sql(f"sqlite:///{shop}", "SELECT id FROM nowhere", dry_run=True)
    assert [refused.reason for refused in report.refused] == ["The query fails: no such table: nowhere."]
    with pytest.raises(NotFound):
        local.collection("default")


def test_a_query_that_gives_no_rows_any_more_removes_all(local: Rag, shop: Path) -> None:
    url, query = f"sqlite:///{shop}", "SELECT id, body FROM articles"
    local.ingest_sql(url, query, columns=BODY)
    change(shop, "DELETE FROM articles")
    assert local.ingest_sql(url, query, columns=BODY).num_removed == 2


def test_a_query_that_fails_is_reported_and_removes_nothing(local: Rag, shop: Path) -> None:
    url, query = f"sqlite:///{shop}", "SELECT id, body FROM articles"
    local.ingest_sql(url, query, columns=BODY)
    change(shop, "ALTER TABLE articles RENAME TO items")
    report = local.ingest_sql(url, query, columns=BODY)
    assert (report.num_refused, report.num_removed) == (1, 0)
    assert report.refused[0].reason == "The query fails: no such table: articles."
    with local.database.read() as session:
        assert len(list_documents(session, get_collection(session, "default").id, filters={})) == 2


def test_rows_of_postgresql_are_ingested_and_its_password_is_nowhere(local: Rag, postgres_copy: str) -> None:
    with psycopg.connect(postgres_copy.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("CREATE TABLE articles (id INTEGER, body TEXT)")
        connection.execute("INSERT INTO articles SELECT i, 'Article number ' || i FROM generate_series(1, 150) AS i")
    url = make_url(postgres_copy).set(password="topsecret").render_as_string(hide_password=False)
    report = local.ingest_sql(url, "SELECT id, body FROM articles", columns=BODY)
    assert report.num_added == 150
    with local.database.read() as session:
        stored = list_documents(session, get_collection(session, "default").id, filters={}, limit=200)
        run = get_run(session, report.run_id or 0)
    assert all(document.source.startswith("sql:") for document in stored)
    assert "topsecret" not in f"{stored} {run} {report}"
    assert local.ingest_sql(url, "SELECT id, body FROM articles", columns=BODY).num_unchanged == 150
