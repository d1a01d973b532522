"""What people ask and the documents do not answer: the order, the pages, and for whom."""

from types import ModuleType

import pytest

from rag.errors import InvalidInput
from rag.records import Caller
from rag.store.database import Database
from rag.store.unanswered import UnansweredCursor, list_unanswered


@pytest.fixture
def log(database: Database, review_log: ModuleType) -> Database:
    review_log.fill(database)
    return database


def test_what_was_asked_most_often_comes_first(log: Database) -> None:
    with log.read() as session:
        asked = list_unanswered(session)
    places = [(one.num_asked, one.last_answer_id) for one in asked]
    assert places == sorted(places, reverse=True)
    assert asked[0].num_asked == 3
    assert not any(one.answered_since for one in asked)


def test_pages_hold_each_question_once(log: Database) -> None:
    with log.read() as session:
        whole = list_unanswered(session, answered_since=None)
        pages, after = [], None
        while page := list_unanswered(session, answered_since=None, after=after, limit=1):
            pages += page
            after = UnansweredCursor.parse(str(page[-1].cursor))
    assert len(whole) > 1
    assert pages == whole


def test_question_that_was_answered_since_is_another_list(log: Database) -> None:
    with log.read() as session:
        answered = {one.normalized_question for one in list_unanswered(session, answered_since=True)}
        open_still = {one.normalized_question for one in list_unanswered(session)}
        everything = {one.normalized_question for one in list_unanswered(session, answered_since=None)}
    assert not answered & open_still
    assert answered | open_still == everything


def test_collection_and_caller_narrow_it_down(log: Database) -> None:
    with log.read() as session:
        assert list_unanswered(session, collection="none") == []
        assert list_unanswered(session, caller=Caller(role="reader", user_id="nobody")) == []
        with pytest.raises(InvalidInput, match="limit"):
            list_unanswered(session, limit=0)
    for text in ("nonsense", "1", "-1.7", f"1.{10**20}", "-1 7", f"1 {10**20}"):
        with pytest.raises(InvalidInput, match="cursor"):
            UnansweredCursor.parse(text)
