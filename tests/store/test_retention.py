"""Taking answers out of the log: what goes, what stays, and that every reference holds afterwards."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rag.errors import NotFound
from rag.store import retention
from rag.store.answer_review import list_answers
from rag.store.answers import get_answer
from rag.store.conversations import get_conversation, list_conversations
from rag.store.database import Database
from rag.store.evaluations import list_results
from rag.store.retention import Removal, count_removal, remove_answers
from rag.store.review_queue import list_queue
from rag.store.sql_console import run_query
from tests.store.privacy_log import NOW, SECRET, WORDS, fill, log_answer, stored_words

FIGURES = "SELECT num_questions, mean_faithfulness, p50_ms, num_thumbs_down FROM quality_by_day ORDER BY day"
OLD = NOW - timedelta(days=30)


@pytest.fixture
def log(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    fill(database)
    return database


def ids(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(text("SELECT id FROM answers ORDER BY id")))


def rows(database: Database, query: str) -> list[Any]:
    with database.read() as session:
        return [tuple(row) for row in session.execute(text(query))]


def test_counting_changes_nothing(log: Database) -> None:
    with log.read() as session:
        counts = count_removal(session, Removal(mode="delete", before=OLD))
    assert (counts.num_answers, counts.num_feedback) == (3, 4)
    assert (counts.first_at, counts.last_at) == (NOW - timedelta(days=200), NOW - timedelta(days=50))
    assert ids(log) == [1, 2, 3, 4, 5]


def test_deleting_takes_all_that_hangs_on_an_answer_and_leaves_the_others_whole(log: Database) -> None:
    assert remove_answers(log, Removal(mode="delete", before=OLD)) == 3
    assert ids(log) == [2, 5]
    for table in ("answer_passages", "citations", "answer_scores", "feedback", "answer_access_labels"):
        assert {row[0] for row in rows(log, f"SELECT answer_id FROM {table}")} <= {2, 5}, table  # noqa: S608
    with log.read() as session:
        kept = get_answer(session, 2)
        results = list_results(session, 1)
        assert get_conversation(session, 1).answers == (kept.answer,)
    assert kept.answer.based_on_answer_id == 1  # no foreign key: it says that there was one
    assert kept.feedback[0].comment == f"no {SECRET}"
    assert [result.answer_id for result in results] == [5, None]
    assert remove_answers(log, Removal(mode="delete", before=OLD)) == 0


def test_conversation_goes_with_its_last_answer(log: Database) -> None:
    remove_answers(log, Removal(mode="delete", before=NOW))
    assert ids(log) == [5]
    with log.read() as session:
        assert list_conversations(session) == []
        assert rows(log, "SELECT id FROM conversations") == []


def test_anonymising_keeps_figures_without_words_and_without_a_person(log: Database) -> None:
    before = rows(log, FIGURES)
    assert remove_answers(log, Removal(mode="anonymise", before=NOW + timedelta(1), with_evaluations=True)) == 5
    after = rows(log, FIGURES)
    assert after == before
    left = [words for words in stored_words(log) if words not in (SECRET, WORDS)]
    assert left == []  # what is left are the two results of the evaluation
    assert rows(log, "SELECT DISTINCT user_id, conversation_id, previous_answer_id FROM answers") == [
        (None, None, None)
    ]
    assert rows(log, "SELECT DISTINCT user_id FROM feedback") == [(None,)]
    assert rows(log, "SELECT count(*) FROM conversations") == [(0,)]
    assert SECRET not in str(rows(log, "SELECT settings FROM answers"))
    with log.read() as session:
        anonymised = get_answer(session, 1)
        assert (anonymised.answer.question, anonymised.answer.answer, anonymised.answer.confidence) == ("", "", 0.5)
        assert anonymised.answer.citations[0].end == len(WORDS)
        assert anonymised.settings == {"top_k": 3}
    assert remove_answers(log, Removal(mode="anonymise", before=NOW + timedelta(1), with_evaluations=True)) == 0


def test_anonymised_answers_are_not_to_be_reviewed_and_are_no_question_that_is_asked_often(log: Database) -> None:
    with log.write() as session:
        session.execute(text("UPDATE answers SET abstained = TRUE"))
    assert rows(log, "SELECT num_asked FROM unanswered_questions WHERE collection = 'birds'") == [(3,)]
    remove_answers(log, Removal(mode="anonymise", before=OLD))
    assert rows(log, "SELECT num_asked FROM unanswered_questions") == [(1,)]
    with log.read() as session:
        assert [queued.answer_id for queued in list_queue(session)] == [2]
        assert len(list_answers(session)) == 4
    remove_answers(log, Removal(mode="anonymise", before=NOW))
    assert run_query(log, "SELECT * FROM unanswered_questions").rows == ()


def test_anonymised_answers_are_deleted_when_their_time_has_come(log: Database) -> None:
    remove_answers(log, Removal(mode="anonymise", before=OLD))
    assert remove_answers(log, Removal(mode="delete", before=OLD)) == 3


def test_only_the_named_collection_and_evaluations_only_where_wanted(log: Database) -> None:
    wanted = Removal(mode="delete", before=NOW, collection="other")
    assert remove_answers(log, wanted) == 1
    assert ids(log) == [1, 2, 3, 5]
    assert remove_answers(log, replace(wanted, collection="birds", with_evaluations=True)) == 4
    with log.read() as session:
        assert [result.answer_id for result in list_results(session, 1)] == [None, None]
        with pytest.raises(NotFound, match="no collection 'fish'"):
            count_removal(session, replace(wanted, collection="fish"))


def test_purge_that_was_broken_off_is_finished_by_the_next(log: Database) -> None:
    for _ in range(5):
        log_answer(log, days_old=60)

    def stop(num_done: int) -> None:
        if num_done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remove_answers(log, Removal(mode="delete", before=OLD), on_progress=stop)
    assert len(ids(log)) == 6
    assert remove_answers(log, Removal(mode="delete", before=OLD)) == 4
    assert ids(log) == [2, 5]
