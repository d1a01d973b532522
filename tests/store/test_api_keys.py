"""API keys and sign-ins in SQL, on both databases."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rag.errors import InvalidInput, NotFound
from rag.records import OWNER, Caller
from rag.store.api_keys import (
    NewApiKey,
    count_usable_keys,
    create_api_key,
    find_usable_key,
    is_use_due,
    list_api_keys,
    note_use,
    revoke_api_key,
)
from rag.store.audit import list_audit_events
from rag.store.database import Database
from rag.store.sign_ins import create_sign_in, delete_sign_in, find_signed_in_key

ADMINISTRATOR = Caller(user_id="root", api_key_id=1, request_id="r-1")


def _make(database: Database, user_id: str = "amara", **more: Any) -> tuple[int, str]:
    with database.write() as session:
        key, words = create_api_key(session, NewApiKey(user_id=user_id, **more), caller=ADMINISTRATOR)
    return key.id, words


def _is_good(database: Database, words: str) -> bool:
    with database.read() as session:
        return find_usable_key(session, words) is not None


def test_key_is_found_by_its_words_with_all_that_it_opens(database: Database) -> None:
    limits = {"role": "reviewer", "collections": ["b", "a", "b"], "access_labels": ["hr"], "rate_limit_per_minute": 9}
    key_id, words = _make(database, name="laptop", expires_in_days=2, **limits)
    with database.read() as session:
        key = find_usable_key(session, words)
        assert [key] == list_api_keys(session) == list_api_keys(session, user_id="amara")
        assert list_api_keys(session, user_id="ben") == []
    assert key is not None
    assert (key.id, key.user_id, key.name, key.role) == (key_id, "amara", "laptop", "reviewer")
    assert (key.collections, key.access_labels, key.rate_limit_per_minute) == (("a", "b"), ("hr",), 9)
    assert key.expires_at is not None
    assert timedelta(days=1.9) < key.expires_at - datetime.now(UTC) <= timedelta(days=2)
    assert (key.last_used_at, key.revoked_at) == (None, None)


def test_all_and_nothing_are_told_apart(database: Database) -> None:
    _, everything = _make(database)
    _, without_labels = _make(database, access_labels=[])
    with database.read() as session:
        found = [find_usable_key(session, words) for words in (everything, without_labels)]
        assert session.scalar(text("SELECT count(*) FROM api_keys WHERE access_labels IS NULL")) == 1
    assert [key and key.access_labels for key in found] == [None, ()]
    assert [key and key.collections for key in found] == [None, None]


def test_secret_is_long_random_and_kept_only_as_its_hash(database: Database) -> None:
    made = [_make(database)[1] for _ in range(20)]
    secrets = [words.split("_", 2)[2] for words in made]
    assert len(set(secrets)) == 20
    assert all(len(secret) == 43 for secret in secrets)  # 256 bits in base64url
    with database.read() as session:
        rows = session.execute(text("SELECT * FROM api_keys")).all()
        assert session.scalars(text("SELECT details FROM audit_events")).all()
        log = str(session.execute(text("SELECT * FROM audit_events")).all())
    assert {row.secret_sha256 for row in rows} == {hashlib.sha256(secret.encode()).hexdigest() for secret in secrets}
    assert not any(secret in str(rows) + log for secret in secrets)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "rag_",
        "rag__",
        "rag_1",
        "rag_1_",
        "rag_1_wrong",
        "rag_999_wrong",
        "rag_-1_x",
        "rag_¹_x",
        "rag_99999999999999999999999999_x",
        "sk-1",
        "rag_1_\ud800",
        "rag_1_é\x00",
    ],
)
def test_other_words_are_no_key(database: Database, words: str) -> None:
    _make(database)
    assert not _is_good(database, words)


def test_one_letter_more_less_or_other_is_no_key(database: Database) -> None:
    _, words = _make(database)
    _, other = _make(database)
    assert _is_good(database, words)
    with_secret_of_another = f"rag_1_{other.removeprefix('rag_2_')}"
    for wrong in (words[:-1], f"{words}A", words.swapcase(), words.removeprefix("rag_"), with_secret_of_another):
        assert not _is_good(database, wrong)


def test_revoked_key_opens_nothing_and_cannot_be_revoked_again(database: Database) -> None:
    key_id, words = _make(database)
    with database.write() as session:
        revoke_api_key(session, key_id, caller=ADMINISTRATOR)
    assert not _is_good(database, words)
    with database.write() as session:
        with pytest.raises(NotFound, match="revoked already"):
            revoke_api_key(session, key_id, caller=OWNER)
        with pytest.raises(NotFound, match="no key 999"):
            revoke_api_key(session, 999, caller=OWNER)


def test_expired_key_opens_nothing(database: Database) -> None:
    key_id, words = _make(database, expires_in_days=1)
    with database.read() as session:
        assert count_usable_keys(session) == 1
    _expire(database, "api_keys", key_id)
    assert not _is_good(database, words)
    with database.read() as session:
        assert count_usable_keys(session) == 0


def test_usable_keys_are_counted(database: Database) -> None:
    ids = [_make(database)[0] for _ in range(3)]
    with database.write() as session:
        assert count_usable_keys(session) == 3
        revoke_api_key(session, ids[0], caller=OWNER)
        assert count_usable_keys(session) == 2


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"user_id": ""}, "needs the id of its user"),
        ({"user_id": " amara"}, "user's id has blanks at its ends"),
        ({"user_id": "x" * 201}, "more than 200 characters"),
        ({"user_id": "a\x00b"}, "NUL"),
        ({"name": "x\n"}, "key's name has blanks"),
        ({"role": "king"}, "'king' is unknown; it is reader, contributor, reviewer, administrator"),
        ({"collections": []}, "name one, or leave collections out"),
        ({"collections": [""]}, "no name"),
        ({"collections": ["\ud800"]}, "surrogate"),
        ({"access_labels": ["*"]}, "access label"),
        ({"rate_limit_per_minute": 0}, "rate_limit_per_minute is 0"),
        ({"expires_in_days": 0}, "expires_in_days is 0"),
        ({"expires_in_days": 10**9}, "at most 36,500"),
        ({"role": "administrator", "collections": ["a"]}, "opens everything"),
        ({"role": "administrator", "access_labels": []}, "opens everything"),
    ],
)
def test_key_that_makes_no_sense_is_refused(database: Database, more: dict[str, Any], sentence: str) -> None:
    with database.write() as session, pytest.raises(InvalidInput, match=sentence):
        create_api_key(session, NewApiKey(**{"user_id": "amara", **more}), caller=OWNER)
    with database.read() as session:
        assert list_api_keys(session) == []


def test_making_and_revoking_are_audited_in_the_same_transaction(database: Database) -> None:
    key_id, _ = _make(database, role="contributor", collections=["a"])
    with database.write() as session:
        revoke_api_key(session, key_id, caller=OWNER)
    _fail_after_making_one(database)
    with database.read() as session:
        revoked, made = list_audit_events(session)
        assert list_audit_events(session, action="key.revoke") == [revoked]
        assert list_audit_events(session, user_id="root") == [made]
        assert list_audit_events(session, before_id=revoked.id) == [made]
        assert list_audit_events(session, limit=1) == [revoked]
    assert (made.action, made.target, made.user_id, made.api_key_id) == ("key.create", str(key_id), "root", 1)
    assert made.request_id == "r-1"
    assert (made.details["for_user"], made.details["collections"]) == ("amara", ["a"])
    assert (revoked.target, revoked.user_id) == (str(key_id), None)


def test_use_is_noted_once_a_minute(database: Database) -> None:
    key_id, words = _make(database)
    with database.write() as session:
        key = find_usable_key(session, words)
        assert key is not None
        assert is_use_due(key)
        note_use(session, key_id)
        key = find_usable_key(session, words)
        assert key is not None
        assert not is_use_due(key)
    with database.write() as session:
        session.execute(text("UPDATE api_keys SET last_used_at = '2020-01-01 00:00:00+00:00'"))
    with database.read() as session:
        key = find_usable_key(session, words)
        assert key is not None
        assert is_use_due(key)


def test_sign_in_stands_for_its_key_until_it_ends(database: Database) -> None:
    key_id, _ = _make(database)
    with database.write() as session:
        secret, expires_at = create_sign_in(session, key_id, hours=2)
        other, _ = create_sign_in(session, key_id, hours=2)
    assert timedelta(hours=1.9) < expires_at - datetime.now(UTC) <= timedelta(hours=2)
    with database.read() as session:
        key = find_signed_in_key(session, secret)
        assert key is not None
        assert key.id == key_id
        assert find_signed_in_key(session, secret[:-1]) is None
        rows = str(session.execute(text("SELECT * FROM sign_ins")).all())
    assert secret not in rows
    with database.write() as session:
        delete_sign_in(session, secret)
        assert find_signed_in_key(session, secret) is None
        assert find_signed_in_key(session, other) is not None
        session.execute(text("UPDATE sign_ins SET expires_at = '2020-01-01 00:00:00+00:00'"))
    with database.write() as session:
        assert find_signed_in_key(session, other) is None
        create_sign_in(session, key_id, hours=1)
        assert session.scalar(text("SELECT count(*) FROM sign_ins")) == 1, "those that have ended are forgotten"


def test_sign_in_ends_with_its_key(database: Database) -> None:
    key_id, _ = _make(database)
    with database.write() as session:
        secret, _ = create_sign_in(session, key_id, hours=2)
        revoke_api_key(session, key_id, caller=OWNER)
    with database.read() as session:
        assert find_signed_in_key(session, secret) is None


def _fail_after_making_one(database: Database) -> None:
    def make_and_fail() -> None:
        with database.write() as session:
            create_api_key(session, NewApiKey(user_id="amara"), caller=OWNER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make_and_fail()


def _expire(database: Database, table: str, key_id: int) -> None:
    with database.write() as session:
        session.execute(
            text(f"UPDATE {table} SET expires_at = '2020-01-01 00:00:00+00:00' WHERE id = :id"),  # noqa: S608
            {"id": key_id},
        )
