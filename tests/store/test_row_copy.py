"""A copy has every row of its source, on either database; what was broken off goes on; what differs is found."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError

from rag.errors import Busy, InvalidInput, StoreUnavailable
from rag.records import Caller
from rag.store import migrate, tables
from rag.store.audit import list_audit_events, put_audit_event
from rag.store.copy_mark import find_mark
from rag.store.database import Database
from rag.store.encryption import LogCipher
from rag.store.key_tables import User
from rag.store.row_copy import copy_rows
from rag.store.tables import Base
from tests.store.privacy_log import stored_words
from tests.store.whole_database import MOMENT, ODD_JSON, all_rows, fill

OPERATOR = Caller(os_user="root")
LAST = "evaluation_results"
"""A table that is copied when the log has been."""
DIALECTS = ("sqlite", "postgresql")
NewDatabase = Callable[[str], Database]


class PowerCutError(Exception):
    """What ends a copy in a test."""


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path
) -> Iterator[NewDatabase]:
    """Makes empty databases with all tables."""
    made: list[Database] = []

    def make(dialect: str) -> Database:
        if dialect == "sqlite":
            path = tmp_path_factory.mktemp("copy") / "rag.db"
            shutil.copy(migrated_sqlite_file, path)
            url = f"sqlite:///{path}"
        else:
            url = request.getfixturevalue("new_postgres_url")()
        made.append(Database(url, busy_timeout=5))
        return made[-1]

    yield make
    for database in made:
        database.dispose()


@pytest.fixture(params=DIALECTS)
def source(request: pytest.FixtureRequest, new_database: NewDatabase) -> Database:
    """A database with rows in every table, of either kind."""
    database = new_database(request.param)
    fill(database)
    return database


@pytest.fixture
def other(source: Database, new_database: NewDatabase) -> Database:
    """An empty database of the other kind."""
    return new_database("postgresql" if source.dialect == "sqlite" else "sqlite")


def copied_rows(database: Database) -> dict[str, list[str]]:
    """All rows but the events of the copying itself."""
    rows = all_rows(database)
    rows["audit_events"] = [row for row in rows["audit_events"] if "db.copy" not in row]
    return rows


def break_off(source: Database, target: Database, *, at: str, rows_per_batch: int = 10) -> None:
    """Begin a copy, and end it after the first batch of a table."""
    seen = set()

    def progress(_done: int, _total: int, table: str) -> None:
        if table == at and table in seen:
            raise PowerCutError
        seen.add(table)

    with pytest.raises(PowerCutError):
        copy_rows(source, target, caller=OPERATOR, on_progress=progress, rows_per_batch=rows_per_batch)


def test_every_table_has_rows_to_copy(source: Database) -> None:
    assert [name for name, rows in all_rows(source).items() if not rows] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_round_trip_leaves_every_row_as_it_was(source: Database, new_database: NewDatabase, dialect: str) -> None:
    there, back = new_database(dialect), new_database(source.dialect)
    copied = copy_rows(source, there, caller=OPERATOR)
    assert copied_rows(there) == all_rows(source)
    again = copy_rows(there, back, caller=OPERATOR)
    assert copied_rows(back) == all_rows(source)
    assert {one.table for one in copied.tables} == set(Base.metadata.tables)
    assert copied.num_rows == sum(map(len, all_rows(source).values()))
    assert (copied.was_resumed, again.was_resumed) == (False, False)
    unchanged = [one for one in copied.tables if one.table != "audit_events"]
    assert unchanged == [one for one in again.tables if one.table != "audit_events"]
    for database in (there, back):
        assert migrate.check(database) == []
        migrate.require_current(database)
        with database.read() as session:
            assert session.scalar(select(tables.Document.document_metadata)) == ODD_JSON


def test_ids_go_on_behind_all_that_the_source_ever_gave_away(source: Database, other: Database) -> None:
    copy_rows(source, other, caller=OPERATOR)
    feedback = {"answer_id": 1, "rating": 1, "created_at": MOMENT}
    with source.write() as here, other.write() as there:
        made = insert(tables.Feedback).returning(tables.Feedback.id)
        assert here.scalar(made, feedback) == there.scalar(made, feedback)
        for table in Base.metadata.sorted_tables:
            if table.autoincrement_column is not None and there.get_bind().dialect.name == "postgresql":
                next_id = there.scalar(
                    text("SELECT nextval(CAST(pg_get_serial_sequence(:name, 'id') AS regclass))"), {"name": table.name}
                )
                assert next_id > max(there.scalars(select(table.c.id))), table.name


def test_target_keeps_its_own_events_and_one_of_the_copy(source: Database, other: Database) -> None:
    with other.write() as session:
        for revision in ("1", "2"):
            put_audit_event(session, OPERATOR, "db.upgrade", target=revision)
    copy_rows(source, other, caller=OPERATOR)
    with source.read() as here, other.read() as there:
        before, after = list_audit_events(here), list_audit_events(there)
    own = after[: -len(before)]
    assert [(event.action, event.target) for event in own] == [
        ("db.copy", None),
        ("db.upgrade", "2"),
        ("db.upgrade", "1"),
    ]
    assert own[0].details == {"source": str(source), "os_user": "root"}
    assert after[len(own) :] == before


@pytest.mark.parametrize(
    "table", ["documents", "dataset_documents", "index_changes", "answer_scores", "model_file_parts", "sign_ins"]
)
def test_copy_that_was_broken_off_goes_on(source: Database, other: Database, table: str) -> None:
    with other.write() as session:
        put_audit_event(session, OPERATOR, "db.upgrade")
    break_off(source, other, at=table, rows_per_batch=1)
    with pytest.raises(StoreUnavailable, match="not whole; run `rag db copy` again"):
        migrate.require_current(other)
    copied = copy_rows(source, other, caller=OPERATOR)
    assert copied.was_resumed
    rows = copied_rows(other)
    own = [row for row in rows["audit_events"] if "db.upgrade" in row]
    assert len(own) == 1
    assert rows | {"audit_events": [row for row in rows["audit_events"] if row not in own]} == all_rows(source)
    with other.read() as session:
        assert find_mark(session) is None


def test_events_that_came_before_a_resumption_are_copied(source: Database, other: Database) -> None:
    with other.write() as session:
        put_audit_event(session, OPERATOR, "db.upgrade")
    break_off(source, other, at="index_changes")
    with source.write() as session:
        for target in range(3):
            put_audit_event(session, OPERATOR, "sql.query", target=target)
    copy_rows(source, other, caller=OPERATOR)
    with source.read() as here, other.read() as there:
        before, after = list_audit_events(here), list_audit_events(there)
    assert after[2:] == before
    assert [event.action for event in after[:2]] == ["db.copy", "db.upgrade"]


def test_row_of_the_copy_that_was_changed_is_found(source: Database, other: Database) -> None:
    break_off(source, other, at=LAST)
    with other.write() as session:
        session.execute(update(tables.AnswerScore).where(tables.AnswerScore.answer_id == 2).values(value=0.250001))
    with pytest.raises(StoreUnavailable, match=r"differs from .* in answer_scores \((\d+) rows, \1 in the copy\)"):
        copy_rows(source, other, caller=OPERATOR)
    with pytest.raises(StoreUnavailable, match="not whole"):
        migrate.require_current(other)


def test_row_that_left_the_copy_is_found(source: Database, other: Database) -> None:
    break_off(source, other, at=LAST)
    with other.write() as session:
        session.execute(text("DELETE FROM citations WHERE answer_id = 1"))
    with pytest.raises(StoreUnavailable, match=r"in citations \(5 rows, 4 in the copy\)"):
        copy_rows(source, other, caller=OPERATOR)


def test_source_that_changed_after_the_copy_was_begun_is_found(source: Database, other: Database) -> None:
    break_off(source, other, at="passages")
    with source.write() as session:
        session.execute(update(tables.Collection).values(revision=1_000))
    with pytest.raises(StoreUnavailable, match="in collections .*the source has changed since"):
        copy_rows(source, other, caller=OPERATOR)


def test_what_is_written_to_the_source_meanwhile_is_not_in_the_copy(source: Database, other: Database) -> None:
    before = all_rows(source)

    def write(_done: int, _total: int, table: str) -> None:
        if table == "conversations":
            with source.write() as session:
                session.execute(update(tables.Answer).values(confidence=1.0))
                session.execute(insert(User), {"id": f"new {_done}", "created_at": MOMENT})

    copy_rows(source, other, caller=OPERATOR, on_progress=write)
    assert copied_rows(other) == before
    assert all_rows(source) != before


def test_encrypted_words_are_copied_without_their_keys(new_database: NewDatabase) -> None:
    plain, target = new_database("sqlite"), new_database("postgresql")
    assert plain.path is not None
    cipher = LogCipher([b"k" * 32])
    fill(Database(f"sqlite:///{plain.path}", cipher=cipher))
    copy_rows(plain, target, caller=OPERATOR)
    assert stored_words(target) == stored_words(plain)
    assert all(words.startswith("rag-encrypted:1:") for words in stored_words(target))
    with_keys = Database(target.url.render_as_string(hide_password=False), cipher=cipher)
    with with_keys.read() as session:
        assert "heron" in (session.scalar(select(tables.Answer.question)) or "")
    with_keys.dispose()


def test_target_with_rows_is_refused(source: Database, other: Database) -> None:
    copy_rows(source, other, caller=OPERATOR)
    before = all_rows(other)
    with pytest.raises(InvalidInput, match="The target is not empty: there are rows in .*Name a new database"):
        copy_rows(source, other, caller=OPERATOR)
    assert all_rows(other) == before


def test_copy_of_another_source_is_refused(source: Database, other: Database, new_database: NewDatabase) -> None:
    break_off(source, other, at="passages")
    another = new_database("sqlite")
    with pytest.raises(InvalidInput, match="holds a copy of .* that was broken off"):
        copy_rows(another, other, caller=OPERATOR)


def test_same_database_twice_is_refused(source: Database) -> None:
    with pytest.raises(InvalidInput, match="are the same database"):
        copy_rows(source, source, caller=OPERATOR)


@pytest.mark.parametrize("which", ["source", "target"])
def test_other_revision_is_refused(source: Database, other: Database, which: str) -> None:
    migrate.downgrade(source if which == "source" else other, "0017")
    with pytest.raises(StoreUnavailable, match="at revision 0017 but this program needs .*run `rag db upgrade`"):
        copy_rows(source, other, caller=OPERATOR)


def test_target_without_tables_is_refused(source: Database, blank_database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="run `rag db upgrade`"):
        copy_rows(source, blank_database, caller=OPERATOR)


def test_two_copies_into_one_target_are_refused(source: Database, other: Database) -> None:
    with other.exclusive("copy"), pytest.raises(Busy, match="Another process"):
        copy_rows(source, other, caller=OPERATOR)


def test_row_that_the_target_refuses_is_named_by_its_table(source: Database, other: Database) -> None:
    statement = "INSERT INTO training_points (run_id, metric, step, value) VALUES (:run, 'loss', 9, 0)"
    if source.dialect == "sqlite":
        with source.migrate() as connection:
            connection.execute(text("PRAGMA ignore_check_constraints = ON"))
            connection.execute(text(statement.replace("9", "-9")), {"run": 1})
            connection.execute(text("PRAGMA ignore_check_constraints = OFF"))
    else:
        with source.write() as session:
            session.execute(text("UPDATE training_points SET value = 'NaN'"))  # which SQLite takes for NULL
    with pytest.raises(StoreUnavailable, match="A row of training_points does not fit into") as refused:
        copy_rows(source, other, caller=OPERATOR)
    assert isinstance(refused.value.__cause__, IntegrityError)


def test_views_of_the_copy_show_what_those_of_the_source_show(source: Database, other: Database) -> None:
    copy_rows(source, other, caller=OPERATOR)
    query = text("SELECT answer_id, question, answer, rating, confidence FROM answer_review ORDER BY answer_id")
    with source.read() as here, other.read() as there:
        assert inspect(there.connection()).get_view_names()
        assert [tuple(row) for row in here.execute(query)] == [tuple(row) for row in there.execute(query)]
