"""The review queue: what is in it, why, in which order, and for whom."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from rag.errors import InvalidInput
from rag.records import Caller
from rag.store.answers import add_feedback, insert_answer
from rag.store.database import Database
from rag.store.review_queue import QueueCursor, list_queue


@pytest.fixture
def log(database: Database, review_log: ModuleType) -> Database:
    review_log.fill(database)
    return database


@pytest.fixture
def ask(log: Database, review_log: ModuleType) -> Callable[..., int]:
    """Log one more answer that differs in the given fields from a good one; returns its id."""

    def ask(**changed: Any) -> int:
        with log.write() as session:
            return insert_answer(session, review_log._new_answer(replace(review_log.LOG[0], **changed), 1))

    return ask


def queue(database: Database, **options: Any) -> list[tuple[int, int, tuple[str, ...]]]:
    with database.read() as session:
        return [(row.answer_id, row.priority, row.reasons) for row in list_queue(session, **options)]


def test_most_pressing_come_first_with_their_reasons(log: Database) -> None:
    assert queue(log) == [
        (8, 5, ("thumbs_down", "low_score", "scorers_disagree")),
        (17, 2, ("low_score", "scorers_disagree")),
        (10, 2, ("asked_often",)),
    ]


def test_reviewed_answers_are_out_of_it(log: Database) -> None:
    with log.write() as session:
        add_feedback(session, 8, rating=-1, is_review=True)
        add_feedback(session, 10, rating=1)  # a thumb is no review
    assert [answer_id for answer_id, *_ in queue(log)] == [17, 10]


def test_question_that_was_asked_often_is_there_once_until_it_is_answered(
    log: Database, ask: Callable[..., int]
) -> None:
    again = ask(question="What is the wifi password?", answer="", confidence=0.1, scores=(0.1, None, 0.0, None))
    assert [row for row in queue(log) if "asked_often" in row[2]] == [(again, 2, ("asked_often",))]
    with log.read() as session:
        assert next(row for row in list_queue(session) if row.answer_id == again).num_asked == 4
    ask(question="WHAT is the wifi password??")
    assert not [row for row in queue(log) if "asked_often" in row[2]]


def test_borders_of_low_scores_and_of_disagreement(log: Database, ask: Callable[..., int]) -> None:
    low = ask(confidence=0.29, scores=(0.9, 0.6, 0.6, 0.6))
    not_low = ask(confidence=0.3, scores=(0.9, 0.6, 0.6, 0.6))
    apart = ask(confidence=0.3, scores=(0.9, 0.9, 1.0, 1.0))
    close = ask(confidence=0.35, scores=(0.9, None, 1.0, 1.0))
    found = {answer_id: reasons for answer_id, _, reasons in queue(log)}
    assert found[low] == ("low_score",)
    assert found[apart] == ("scorers_disagree",)
    assert not {not_low, close} & set(found)


def test_pages_follow_each_other_without_gap_or_repetition(log: Database, ask: Callable[..., int]) -> None:
    for _ in range(3):
        ask(confidence=0.29, scores=(0.9, 0.6, 0.6, 0.6))
    whole = queue(log)
    assert len(whole) == 6
    found, after = [], None
    while page := queue(log, after=after, limit=2):
        found += page
        after = QueueCursor(priority=page[-1][1], answer_id=page[-1][0])
        assert QueueCursor.parse(str(after)) == after
    assert found == whole


def test_queue_of_one_collection_and_of_one_caller(log: Database) -> None:
    assert [answer_id for answer_id, *_ in queue(log, collection="tickets")] == [17]
    # The log was asked by one who sees all documents.
    assert queue(log, caller=Caller(access_labels=frozenset({"hr"}))) == []


@pytest.mark.parametrize("cursor", ["", "x", "3", "3.", "3.x", "3.4.5", "3 ", "3 x", "3 4 5", "-1 4", f"{10**20} 4"])
def test_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        QueueCursor.parse(cursor)


def test_limit_below_one_is_refused(log: Database) -> None:
    with pytest.raises(InvalidInput, match="limit must be at least 1"):
        queue(log, limit=0)
