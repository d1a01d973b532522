"""The checksum of a table follows every value, and nothing but the values."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from rag.store.database import Database
from rag.store.stored_rows import stored_table
from rag.store.table_checksum import TableChecksum, table_checksum
from rag.store.tables import Base

EVENTS = Base.metadata.tables["audit_events"]
EVENT: dict[str, Any] = {
    "id": 1, "created_at": datetime(2025, 1, 1, tzinfo=UTC), "user_id": "a", "api_key_id": 5, "action": "b",
    "target": None, "details": {"a": [1, 2.5], "b": "ü"}, "request_id": "",
}  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"id": 2},
    {"created_at": datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC)},
    {"user_id": None},
    {"user_id": "ab", "action": ""},
    {"user_id": "b", "action": "a"},
    {"api_key_id": -5},
    {"target": ""},
    {"target": "", "request_id": None},
    {"details": {"a": [1, 2.5], "b": "u"}},
    {"details": {"a": [2.5, 1], "b": "ü"}},
]


def checksum(database: Database, *rows: dict[str, Any]) -> TableChecksum:
    with database.write() as session:
        session.execute(delete(EVENTS))
        for row in rows:
            session.execute(insert(EVENTS).values(row))
    with database.read() as session:
        return table_checksum(session, EVENTS)


def test_every_value_counts_and_in_its_own_column(database: Database) -> None:
    found = [checksum(database, EVENT), *(checksum(database, EVENT | other) for other in OTHERS)]
    assert len({one.checksum for one in found}) == len(found)
    assert checksum(database, EVENT) == found[0]


def test_order_of_rows_does_not_count_but_their_number_does(database: Database) -> None:
    second, third = EVENT | {"id": 2}, EVENT | {"id": 3}
    assert checksum(database, EVENT, second, third) == checksum(database, third, EVENT, second)
    assert checksum(database, EVENT).checksum != checksum(database, EVENT, second).checksum
    empty = checksum(database)
    assert (empty.num_rows, empty.checksum) == (0, "0" * 64)


def test_spelling_of_json_does_not_count(database: Database) -> None:
    before = checksum(database, EVENT)
    spelled = '{ "b":"\\u00fc",  "a":[1,2.50] }'
    with database.write() as session:
        session.connection().execute(update(stored_table(EVENTS, database.dialect)).values(details=spelled))
    with database.read() as session:
        assert table_checksum(session, EVENTS) == before


def test_only_rows_wanted_are_looked_at(database: Database) -> None:
    alone = checksum(database, EVENT)
    checksum(database, EVENT, EVENT | {"id": 2})
    with database.read() as session:
        assert table_checksum(session, EVENTS, stored_table(EVENTS, database.dialect).c.id <= 1) == alone


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
def test_time_zone_of_the_session_does_not_count(postgres_copy: str, zone: str) -> None:
    database = Database(postgres_copy)
    before = checksum(database, EVENT)
    with database.read() as session:
        session.execute(text(f"SET LOCAL TIME ZONE '{zone}'"))
        assert table_checksum(session, EVENTS) == before
    database.dispose()


def test_same_rows_have_the_same_checksum_on_both_databases(sqlite_url: str, postgres_copy: str) -> None:
    found = []
    for url in (sqlite_url, postgres_copy):
        database = Database(url)
        found.append(checksum(database, EVENT, EVENT | {"id": 2, "details": {}}))
        database.dispose()
    assert found[0] == found[1]
