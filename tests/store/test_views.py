"""The views: the same on both databases, and what they say of a log that is known."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, text

from rag.store import migrate, views
from rag.store.answer_review import ReviewRow
from rag.store.database import Database


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The migrated database, seen without our own code."""
    engine = create_engine(make_url(database_url))
    yield engine
    engine.dispose()


def test_views_have_their_columns_on_both_databases(engine: Engine) -> None:
    inspector = inspect(engine)
    assert set(inspector.get_view_names()) == {view.name for view in views.VIEWS}
    for view in views.VIEWS:
        found = [column["name"] for column in inspector.get_columns(view.name)]
        assert found == [column.name for column in views.columns_of(view)]


def test_newest_migration_leaves_the_views_as_they_are_defined(sqlite_database: Database) -> None:
    with sqlite_database.read() as session:
        found = dict(session.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'view'")).all())
    wanted = views.view_definitions("sqlite")
    assert {name: sql.strip() for name, sql in found.items()} == {name: sql.strip() for name, sql in wanted.items()}


def test_review_rows_are_the_columns_of_the_view() -> None:
    assert [field.name for field in fields(ReviewRow)] == [column.name for column in views.ANSWER_REVIEW.columns]


def test_views_show_the_later_columns_that_stand_at_a_revision(database: Database) -> None:
    def columns() -> set[str]:
        with database.read() as session:
            return {column["name"] for column in inspect(session.connection()).get_columns("answer_review")}

    def remade(**options: Any) -> None:
        with database.migrate() as connection:
            views.drop_views(lambda statement: connection.exec_driver_sql(statement))
            views.create_views(lambda statement: connection.exec_driver_sql(statement), database.dialect, **options)

    assert set(views.LATER_COLUMNS) <= columns()
    remade(answer_columns=("user_id",))
    assert columns() & set(views.LATER_COLUMNS) == {"user_id"}
    remade()
    assert set(views.LATER_COLUMNS) <= columns()


def test_older_view_comes_back_with_a_downgrade(database: Database) -> None:
    migrate.downgrade(database, "0013")
    with database.read() as session:
        assert inspect(session.connection()).get_view_names() == ["answer_review"]
        assert session.execute(text("SELECT dataset FROM answer_review")).all() == []
    migrate.upgrade(database)
    assert migrate.check(database) == []
