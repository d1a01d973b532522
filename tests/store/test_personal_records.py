"""A person's data: all of it is given out, and nothing of the person is left after an erasure."""

import json
from typing import Any

import pytest
from sqlalchemy import inspect, text

from rag.errors import NotFound
from rag.records import Caller
from rag.store.answers import get_answer
from rag.store.api_keys import list_api_keys
from rag.store.audit import put_audit_event
from rag.store.database import Database
from rag.store.personal_records import ERASED, count_person, erase_person, records_of_person
from rag.store.readable_tables import KEPT_BACK, READABLE_TABLES
from tests.store.privacy_log import SECRET, fill, log_answer

ROOT = Caller(os_user="root")


@pytest.fixture
def log(database: Database) -> Database:
    fill(database)
    return database


def everything(database: Database) -> str:
    """All rows of all tables but those of other users' kept responses."""
    with database.read() as session:
        names = sorted(set(inspect(session.connection()).get_table_names()) & (READABLE_TABLES | KEPT_BACK))
        assert len(names) > 20
        return "\n".join(
            f"{name} {tuple(row)}"
            for name in names
            for row in session.execute(text(f"SELECT * FROM {name}"))  # noqa: S608
            if "amaranth" not in str(row)
        )


def test_export_holds_all_records_and_no_hash(log: Database) -> None:
    with log.read() as session:
        records = list(records_of_person(session, "amara"))
        counts = count_person(session, "amara")
    by_kind: dict[str, list[Any]] = {}
    for record in records:
        by_kind.setdefault(record["record"], []).append(record)
    assert {kind: len(found) for kind, found in by_kind.items()} == {
        "user": 1, "api_key": 1, "sign_in": 1, "conversation": 1, "answer": 2, "feedback": 3, "audit_event": 5,
    }  # fmt: skip
    assert (counts.num_answers, counts.num_feedback, counts.num_audit_events) == (2, 3, 5)
    answer = by_kind["answer"][0]
    assert SECRET in answer["answer"]["passages"][0]["text"]
    assert answer["settings"]["filters"] == {"kind": f"with {SECRET}"}
    assert answer["feedback"][0]["comment"] == f"no {SECRET}"
    assert "sha256" not in json.dumps([by_kind["api_key"], by_kind["sign_in"]], default=str)


@pytest.mark.parametrize("mode", ["delete", "anonymise"])
def test_erasing_leaves_nothing_of_the_person(log: Database, mode: Any) -> None:
    log_answer(log, user="amaranth")
    counts = erase_person(log, "amara", mode=mode, caller=ROOT)
    assert counts.num_answers == 2
    assert "amara" not in everything(log)
    with log.read() as session:
        with pytest.raises(NotFound, match="Nothing is kept of a user 'amara'"):
            count_person(session, "amara")
        assert [key.user_id for key in list_api_keys(session)] == ["jonas"]
        assert get_answer(session, 6).user_id == "amaranth"
        kept = session.scalars(text("SELECT id FROM answers ORDER BY id")).all()
        jonas = get_answer(session, 3)
        assert session.scalars(text("SELECT scope FROM idempotency_keys")).all() == ['["amaranth", null, null]']
    assert kept == ([3, 4, 5, 6] if mode == "delete" else [1, 2, 3, 4, 5, 6])
    assert SECRET in jonas.answer.question
    assert [(given.comment, given.user_id) for given in jonas.feedback] == (
        [(f"no {SECRET}", "jonas")] if mode == "delete" else [(f"no {SECRET}", "jonas"), (None, None)]
    )


def test_audit_keeps_the_acts_and_not_the_person(log: Database) -> None:
    query = text("SELECT action, user_id, target, details FROM audit_events ORDER BY id")
    with log.write() as session:
        put_audit_event(session, ROOT, "key.create", details={"for_user": "amaranth"})
    with log.read() as session:
        before = [row.action for row in session.execute(query)]
    erase_person(log, "amara", mode="delete", caller=ROOT)
    with log.read() as session:
        after = [(row.action, row.user_id, row.target) for row in session.execute(query)]
        details = str(session.execute(query).all())
    assert [action for action, *_ in after] == [*before, "user.erase"]
    assert ("answer.read", ERASED, "3") in after
    assert ("user.export", None, ERASED) in after
    assert f"user_id = '{ERASED}'" in details.replace("\\", "")
    assert "'amaranth'" in details.replace('"', "'")
    assert "num_answers" in details


def test_person_who_asked_without_a_key_can_be_erased_too_and_again_after_a_kill(log: Database) -> None:
    log_answer(log, user='Ömür "o"')

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase_person(log, 'Ömür "o"', mode="delete", caller=ROOT, on_progress=stop)
    log_answer(log, user='Ömür "o"')
    assert erase_person(log, 'Ömür "o"', mode="delete", caller=ROOT).num_answers == 1
    assert "Ömür" not in everything(log)
    with log.read() as session, pytest.raises(NotFound):
        list(records_of_person(session, 'Ömür "o"'))
