"""Rows as they are stored come in batches that fit into memory."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Text, insert, text

from rag.store import tables
from rag.store.database import Database
from rag.store.encryption import EncryptedText
from rag.store.stored_rows import (
    CHARS_PER_BATCH,
    ROWS_PER_BATCH,
    leading_key,
    select_stored,
    stored_rows,
    stored_table,
)
from rag.store.tables import Base

TABLES = Base.metadata.tables
MOMENT = datetime(2025, 1, 1, tzinfo=UTC)


def batches(database: Database, name: str) -> list[list[Any]]:
    with database.read() as session:
        statement = select_stored(TABLES[name], database.dialect)
        return [list(batch) for batch in stored_rows(session, statement, TABLES[name])]


def test_rows_come_in_batches_by_their_key(library: Any) -> None:
    change = {"collection_id": library.collection_id, "operation": "add", "created_at": MOMENT}
    with library.database.write() as session:
        session.execute(insert(tables.IndexChange), [{**change, "passage_id": n} for n in range(ROWS_PER_BATCH + 1)])
    found = batches(library.database, "index_changes")
    assert [len(batch) for batch in found] == [ROWS_PER_BATCH, 1]
    assert [row.passage_id for batch in found for row in batch] == list(range(ROWS_PER_BATCH + 1))


def test_long_documents_make_short_batches(library: Any) -> None:
    for number in range(5):
        library.add(f"file:///{number}", str(number) * (CHARS_PER_BATCH // 2))
    found = batches(library.database, "document_versions")
    assert [len(batch) for batch in found] == [2, 2, 1]


def test_rows_are_read_as_they_are_wanted_and_not_all_at_once(
    postgres_copy: str, request: pytest.FixtureRequest
) -> None:
    database = Database(postgres_copy)
    request.addfinalizer(database.dispose)
    with database.write() as session:
        session.execute(insert(TABLES["users"]), [{"id": str(n), "created_at": MOMENT} for n in range(2_500)])
    with database.read() as session:
        rows = stored_rows(session, select_stored(TABLES["users"], database.dialect), TABLES["users"])
        assert len(next(rows)) == ROWS_PER_BATCH
        assert session.scalar(text("SELECT count(*) FROM pg_cursors WHERE name <> ''")) == 1  # the server has the rest
        rows.close()


def test_json_and_encrypted_words_are_the_text_that_is_stored(library: Any) -> None:
    database, stored = library.database, stored_table(TABLES["feedback"], library.database.dialect)
    events = stored_table(TABLES["audit_events"], database.dialect)
    with database.write() as session:
        event = {"id": 1, "created_at": MOMENT, "action": "a", "details": '{"b" :1}'}
        session.connection().execute(insert(events), event)
    ((found,),) = batches(database, "audit_events")
    assert found.details == '{"b" :1}'
    assert isinstance(stored.c.comment.type, Text)
    assert not isinstance(stored.c.comment.type, EncryptedText)


@pytest.mark.parametrize(
    ("table", "expected"),
    [("answers", ("id", True)), ("citations", ("answer_id", False)), ("users", None), ("sign_ins", None)],
)
def test_leading_key_counts_or_is_none(table: str, expected: tuple[str, bool] | None) -> None:
    assert leading_key(TABLES[table]) == expected
