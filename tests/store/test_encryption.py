"""Encryption of the log by column, and the rotation of its keys: never unreadable, never half, also after a kill."""

import base64
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from rag.assemble import Rag
from rag.config import Settings
from rag.errors import InvalidInput, StoreUnavailable
from rag.records import Caller
from rag.store import key_rotation
from rag.store.answer_review import list_answers
from rag.store.answers import get_answer
from rag.store.database import Database
from rag.store.encryption import LogCipher, key_id, new_key, parse_keys
from rag.store.evaluations import list_results
from rag.store.key_rotation import count_stale, rotate_keys
from rag.store.opening import open_database, require_keys
from rag.store.review_queue import list_queue
from rag.store.sql_console import run_query
from tests.store.privacy_log import SECRET, TEXTS, WORDS, fill, log_answer, stored_words

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


@pytest.fixture
def opened(database_url: str) -> Iterator:
    """Opens the database with keys, and closes it in the end."""
    made: list[Database] = []

    def open_with(*keys: bytes, writes_plain: bool = False) -> Database:
        made.append(Database(database_url, cipher=LogCipher(keys, writes_plain=writes_plain)))
        return made[-1]

    yield open_with
    for database in made:
        database.dispose()


def test_what_is_encrypted_comes_back_and_is_another_each_time() -> None:
    cipher = LogCipher([OLD])
    for words in ("grey", "ß" * 5_000, "rag-encrypted:1:00000000:x", "rag-plain:"):
        stored = cipher.encrypt(words)
        assert words not in stored
        assert cipher.decrypt(stored) == words
        assert cipher.encrypt(words) != stored
    assert cipher.encrypt("") == ""


@pytest.mark.parametrize("words", ["rag-encrypted:1:00000000:AAAA", "rag-plain:x", "rag-encrypted:", "plain"])
def test_plain_text_that_looks_encrypted_is_read_as_it_was_written(words: str) -> None:
    for reader in (LogCipher(), LogCipher([OLD])):
        assert reader.decrypt(LogCipher().encrypt(words)) == words


def test_damage_is_noticed() -> None:
    stored = LogCipher([OLD]).encrypt("grey")
    flipped = stored[:-3] + ("A" if stored[-3] != "A" else "B") + stored[-2:]
    for damaged in (flipped, stored[:-8], "rag-encrypted:1:zz"):
        with pytest.raises(StoreUnavailable, match="damaged; restore a backup"):
            LogCipher([OLD]).decrypt(damaged)


def test_keys_are_read_from_words_and_bad_ones_are_named_by_number() -> None:
    first, second = new_key(), base64.b64encode(NEW).decode()
    assert parse_keys(f"# of June\n{first}  # current\n\n{second},{first}") == [*parse_keys(first), NEW]
    assert parse_keys(" \n") == []
    with pytest.raises(InvalidInput, match="key number 2 is not 32 bytes in base64"):
        parse_keys(f"{first} {base64.b64encode(b'short').decode()}")


def test_settings_take_keys_from_a_file_or_a_variable_but_not_from_both(tmp_path: Path, sqlite_url: str) -> None:
    file = tmp_path / "keys"
    file.write_text(new_key() + "\n")
    with_file = Settings(database_url=sqlite_url, log_keys_file=file)
    assert open_database(with_file).encrypts
    assert open_database(Settings(database_url=sqlite_url, log_keys=new_key())).encrypts
    assert not open_database(Settings(database_url=sqlite_url)).encrypts
    with pytest.raises(InvalidInput, match="both set"):
        open_database(Settings(database_url=sqlite_url, log_keys_file=file, log_keys=new_key()))
    with pytest.raises(InvalidInput, match="cannot be read"):
        open_database(Settings(database_url=sqlite_url, log_keys_file=tmp_path / "none"))
    file.write_text("\n")
    with pytest.raises(InvalidInput, match="holds no key"):
        open_database(with_file)
    assert "log_keys=SecretStr('**********')" in repr(Settings(log_keys=new_key()))


def test_no_word_of_people_and_models_is_stored_plain_and_all_are_read(opened: object) -> None:
    database = opened(OLD)
    fill(database)
    words = stored_words(database)
    assert len(words) > 20
    assert all(one.startswith(f"rag-encrypted:1:{key_id(OLD)}:") for one in words)
    with database.read() as session:
        logged = get_answer(session, 2)
        assert SECRET in logged.answer.question
        assert SECRET in (logged.answer.standalone_question or "")
        assert (logged.answer.passages[0].text, logged.answer.citations[0].quote) == (WORDS, WORDS)
        assert (logged.feedback[0].comment, logged.feedback[0].corrected_answer) == (f"no {SECRET}", f"white {SECRET}")
        row = next(row for row in list_answers(session) if row.answer_id == 2)
        assert (row.question, row.first_quote, row.comment) == (logged.answer.question, WORDS, f"no {SECRET}")
        assert all(SECRET in queued.question for queued in list_queue(session))
        assert [result.prediction for result in list_results(session, 1)] == [SECRET, SECRET]


def test_tables_of_the_test_are_all_that_are_encrypted() -> None:
    encrypted = {table.name: tuple(c.name for c in columns) for table, columns in key_rotation._tables()}
    assert encrypted == TEXTS


def test_views_work_and_show_ciphertext_to_sql(opened: object) -> None:
    database = opened(OLD)
    fill(database)
    for view in ("answer_review", "unanswered_questions", "review_queue", "quality_by_day", "passage_usage"):
        run_query(database, f"SELECT * FROM {view}")  # noqa: S608
    (row,) = run_query(database, "SELECT question, first_quote FROM answer_review WHERE answer_id = 2").rows
    assert all(str(words).startswith("rag-encrypted:") for words in row)
    assert run_query(database, "SELECT sum(num_questions) FROM quality_by_day").rows == ((4,),)


def test_words_of_an_encrypted_log_cannot_be_searched_and_that_is_said(opened: object) -> None:
    database = opened(OLD)
    fill(database)
    with database.read() as session, pytest.raises(InvalidInput, match="leave contains out"):
        list_answers(session, contains="heron")


def test_missing_and_wrong_key_are_named_in_one_sentence(opened: object) -> None:
    log_answer(opened(OLD))
    for keys, said in (((), "log_keys is not set"), ((NEW,), f"log_keys has {key_id(NEW)}")):
        database = opened(*keys)
        with pytest.raises(StoreUnavailable, match=f"with the key {key_id(OLD)}, and {said}; add that key"):
            require_keys(database)
        with database.read() as session, pytest.raises(StoreUnavailable, match=key_id(OLD)):
            get_answer(session, 1)
    require_keys(opened(NEW, OLD))


def test_service_does_not_open_where_its_key_is_missing(sqlite_url: str, tmp_path: Path) -> None:
    key = new_key()
    log_answer(Database(sqlite_url, cipher=LogCipher(parse_keys(key))))
    settings = {"database_url": sqlite_url, "data_dir": tmp_path / "data"}
    with pytest.raises(StoreUnavailable, match="log_keys is not set"):
        Rag(Settings(**settings))
    Rag(Settings(**settings, log_keys=key)).close()


def test_turning_on_rotating_and_turning_off_keep_every_word(opened: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "BATCH_SIZE", 2)
    plain = opened()
    fill(plain)
    words = sorted(stored_words(plain))
    log_answer(opened(OLD))  # beside rows that were stored before
    with opened(OLD).read() as session:
        assert SECRET in get_answer(session, 1).answer.question
    words = sorted([*words, *_plain_words_of_one_answer(opened(OLD))])
    for keys, prefix in (((OLD,), key_id(OLD)), ((NEW, OLD), key_id(NEW))):
        database = opened(*keys)
        with database.read() as session:
            assert count_stale(session) > 0
        assert rotate_keys(database, caller=Caller(os_user="root")) > 10
        assert all(one.startswith(f"rag-encrypted:1:{prefix}:") for one in stored_words(database))
        assert rotate_keys(database, caller=Caller(os_user="root")) == 0
    only_new = opened(NEW)
    with only_new.read() as session:
        assert SECRET in get_answer(session, 1).answer.question
        audited = session.execute(text("SELECT target FROM audit_events WHERE action = 'log.rotate_key'")).all()
    assert {row.target for row in audited} == {key_id(OLD), key_id(NEW)}
    rotate_keys(opened(NEW, writes_plain=True), caller=Caller())
    assert sorted(stored_words(plain)) == words


def _plain_words_of_one_answer(database: Database) -> list[str]:
    cipher = LogCipher([OLD])
    return [cipher.decrypt(one) for one in stored_words(database) if one.startswith("rag-encrypted:")]


def test_rotation_without_the_old_key_stops_with_its_name_and_loses_nothing(opened: object) -> None:
    fill(opened(OLD))
    before = sorted(stored_words(opened(OLD)))
    with pytest.raises(StoreUnavailable, match=key_id(OLD)):
        rotate_keys(opened(OTHER), caller=Caller())
    assert sorted(stored_words(opened(OLD))) == before


def test_killed_rotation_is_readable_with_both_keys_and_finished_by_the_next(
    opened: object, database_url: str, tmp_path: Path
) -> None:
    database = opened(OLD)
    for _ in range(6):
        log_answer(database)
    num_words = len(stored_words(database))
    script = tmp_path / "rotate.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal
        from rag.records import Caller
        from rag.store import key_rotation
        from rag.store.database import Database
        from rag.store.encryption import LogCipher

        key_rotation.BATCH_SIZE = 2
        database = Database({database_url!r}, cipher=LogCipher([{NEW!r}, {OLD!r}]))
        key_rotation.rotate_keys(
            database, caller=Caller(), on_progress=lambda done: done >= 8 and os.kill(os.getpid(), signal.SIGKILL)
        )
        """)
    )
    ended = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    words = stored_words(database)
    used = {one.split(":")[2] for one in words}
    assert used == {key_id(OLD), key_id(NEW)}
    both = opened(NEW, OLD)
    with both.read() as session:
        assert all(SECRET in get_answer(session, answer_id).answer.answer for answer_id in range(1, 7))
    assert rotate_keys(both, caller=Caller()) > 0
    words = stored_words(database)
    assert len(words) == num_words
    assert {one.split(":")[2] for one in words} == {key_id(NEW)}
