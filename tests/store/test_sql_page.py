"""docs/sql.md: its queries run on both databases and give what the page says; nothing is left undescribed."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rag.store import views
from rag.store.database import Database
from rag.store.sql_console import run_query
from rag.store.tables import Base

DOCS = Path(__file__).parents[2] / "docs"
sys.path.append(str(DOCS))

import log_tables  # noqa: E402
import review_log  # noqa: E402
import write_sql  # noqa: E402

QUESTIONS = {question: number for number, (question, _) in enumerate(write_sql.QUERIES)}


@pytest.fixture(scope="module")
def shown(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """What each query gives on SQLite."""
    path = tmp_path_factory.mktemp("page") / "rag.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    database = Database(f"sqlite:///{path}")
    review_log.fill(database)
    found = [result.rows for result in write_sql.results(database)]
    database.dispose()
    return found


@pytest.fixture
def log(database: Database) -> Database:
    review_log.fill(database)
    return database


def test_page_is_what_the_script_writes() -> None:
    assert write_sql.PAGE.read_text(encoding="utf-8") == write_sql.page(), "run docs/write_sql.py"


def test_queries_give_the_same_on_both_databases(log: Database, shown: list[tuple[Any, ...]]) -> None:
    assert len(write_sql.QUERIES) >= 12
    for (question, query), wanted in zip(write_sql.QUERIES, shown, strict=True):
        found = run_query(log, query).rows
        assert found, question
        assert len(found) == len(wanted), question
        for row, wanted_row in zip(found, wanted, strict=True):
            assert row == pytest.approx(wanted_row), question


def test_every_view_gives_the_same_on_both_databases(postgres_copy: str, sqlite_database: Database) -> None:
    other = Database(postgres_copy)
    for database in (sqlite_database, other):
        review_log.fill(database)
    for view in views.VIEWS:
        first, second = (run_query(database, f"SELECT * FROM {view.name}") for database in (sqlite_database, other))  # noqa: S608
        assert first.columns == second.columns
        assert len(first.rows) == len(second.rows) > 0
        rows = [sorted(result.rows, key=repr) for result in (first, second)]
        if view.name == "answer_review":  # the moments of scores and feedback are fixed; so is all else
            assert len(first.rows) == len(review_log.LOG)
        for row, other_row in zip(*rows, strict=True):
            assert row == pytest.approx(other_row), view.name
    other.dispose()


def test_every_column_is_described() -> None:
    for name, (_, meanings) in (log_tables.LOG_TABLES | log_tables.REGISTRY_TABLES).items():
        assert set(Base.metadata.tables[name].columns.keys()) <= set(meanings), name
    for view in views.VIEWS:
        assert all(column.meaning.endswith(".") for column in views.columns_of(view)), view.name


def test_the_figures_are_those_that_follow_from_the_log_by_hand(log: Database) -> None:
    def rows(query: str) -> list[tuple[Any, ...]]:
        return list(run_query(log, query).rows)

    # Three spellings of one question, on 2, 3 and 5 June; and one asked of two models.
    asked = "SELECT normalized_question, num_asked, num_answered, answered_since FROM unanswered_questions"
    assert rows(f"{asked} ORDER BY num_asked") == [
        ("who approves leave", 2, 0, 0),
        ("what is the wifi password", 3, 0, 0),
    ]
    day = "SELECT num_questions, num_answered, p50_ms, p95_ms, num_thumbs_up, num_thumbs_down, num_reviewed"
    assert rows(f"{day} FROM quality_by_day WHERE day = '2025-06-05'") == [(3, 1, 120.0, 460.0, 0, 0, 1)]
    assert rows(f"{day} FROM quality_by_day WHERE day = '2025-06-02'") == [(3, 2, 120.0, 120.0, 1, 0, 2)]
    usage = "SELECT num_shown, num_first, num_cited, num_thumbs_down, num_named_wrong FROM passage_usage"
    assert rows(f"{usage} WHERE passage_id = {review_log.LEAVE}") == [(8, 6, 4, 1, 1)]
    assert rows(f"{usage} WHERE passage_id = {review_log.CANTEEN}") == [(3, 1, 0, 0, 0)]


def test_question_that_was_answered_later_is_marked(log: Database) -> None:
    with log.write() as session:
        first = review_log.LOG[0]
        collection_id = 1
        new = review_log._new_answer(
            review_log.Asked(day=9, question="WHO approves leave", answer="28 days", read=first.read, confidence=0.9),
            collection_id,
        )
        review_log.insert_answer(session, new)
    found = run_query(
        log, "SELECT num_asked, num_answered, answered_since FROM unanswered_questions WHERE num_asked = 2"
    )
    assert found.rows == ((2, 1, 1),)


def test_modules_of_the_docs_are_those_beside_the_page() -> None:
    modules: list[ModuleType] = [log_tables, review_log, write_sql]
    assert all(Path(str(module.__file__)).parent == DOCS for module in modules)
