"""The review list in other orders, and what it can be narrowed down to beside."""

from types import ModuleType

import pytest

from rag.errors import InvalidInput
from rag.store.answer_order import AnswerCursor, AnswerSort, cursor_of
from rag.store.answer_review import ReviewRow, ScoreRange, list_answers
from rag.store.answers import add_feedback
from rag.store.database import Database


@pytest.fixture
def log(database: Database, review_log: ModuleType) -> Database:
    review_log.fill(database)
    return database


def all_pages(database: Database, sort: AnswerSort, *, limit: int) -> list[ReviewRow]:
    rows: list[ReviewRow] = []
    with database.read() as session:
        page = list_answers(session, sort=sort, limit=limit)
        while page:
            rows += page
            cursor = AnswerCursor.parse(str(cursor_of(page[-1], sort)))
            page = list_answers(session, sort=sort, after=cursor, limit=limit)
    return rows


@pytest.mark.parametrize(
    "sort", ["-created_at", "created_at", "confidence", "-confidence", "faithfulness", "-faithfulness", "-total_ms"]
)
def test_pages_of_an_order_hold_every_answer_once_and_in_that_order(log: Database, sort: AnswerSort) -> None:
    with log.read() as session:
        everything = list_answers(session, limit=500)
    rows = all_pages(log, sort, limit=3)
    assert sorted(row.answer_id for row in rows) == sorted(row.answer_id for row in everything)
    name, is_falling = sort.removeprefix("-"), sort.startswith("-")
    values = [getattr(row, name) for row in rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=is_falling)
    assert values[: len(known)] == known, "those without a value come last"


def test_answers_of_the_same_value_are_read_newest_first(log: Database) -> None:
    rows = all_pages(log, "confidence", limit=2)
    for before, after in zip(rows, rows[1:], strict=False):
        assert (before.confidence, -before.answer_id) < (after.confidence, -after.answer_id)


def test_list_is_narrowed_down_to_what_was_judged(log: Database) -> None:
    with log.write() as session:
        add_feedback(session, 1, rating=1, is_review=True)
    with log.read() as session:
        everything = {row.answer_id: row for row in list_answers(session)}
        rated = {row.answer_id for row in list_answers(session, rated=True)}
        unrated = {row.answer_id for row in list_answers(session, rated=False)}
        reviewed = {row.answer_id for row in list_answers(session, reviewed=True)}
        unreviewed = {row.answer_id for row in list_answers(session, reviewed=False)}
    assert rated == {number for number, row in everything.items() if row.num_feedback}
    assert 1 in reviewed
    assert reviewed <= rated
    assert unrated
    assert not unrated & rated
    assert unrated | rated == set(everything)
    assert not unreviewed & reviewed
    assert unreviewed | reviewed == set(everything)


def test_list_is_narrowed_down_to_a_range_of_a_score(log: Database) -> None:
    with log.read() as session:
        low = list_answers(session, score=ScoreRange(metric="faithfulness", most=0.5))
        everything = list_answers(session)
    wanted = [row.answer_id for row in everything if row.faithfulness is not None and row.faithfulness <= 0.5]
    assert [row.answer_id for row in low] == wanted
    assert 0 < len(wanted) < len(everything)


def test_order_and_cursor_that_are_none_are_refused(log: Database) -> None:
    with log.read() as session, pytest.raises(InvalidInput, match="order 'question' is none"):
        list_answers(session, sort="question")  # type: ignore[arg-type]
    for text in ("", "7", "x 7", "0.5 x", "nan 7", "0.5 -1", f"0.5 {10**20}"):
        with pytest.raises(InvalidInput, match="cursor"):
            AnswerCursor.parse(text)
