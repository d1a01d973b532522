"""Usage by day over all collections and models, and documents in the list's other orders."""

from datetime import date
from types import ModuleType

import pytest

from rag.store.database import Database
from rag.store.usage import Period, usage_by_day
from rag.store.usage_totals import days_in_all

PERIOD = Period(first=date(2025, 6, 1), last=date(2025, 6, 30))


def test_day_of_one_group_is_that_of_the_view(database: Database, review_log: ModuleType) -> None:
    review_log.fill(database)
    with database.read() as session:
        groups = usage_by_day(session, PERIOD, collection="handbook")
        days = {day.day: day for day in days_in_all(session, PERIOD, collection="handbook")}
    assert len({group.model for group in groups}) >= 1
    for group in groups:
        if sum(other.day == group.day for other in groups) > 1:
            continue
        day = days[group.day]
        for name in type(day).__dataclass_fields__:
            expected = getattr(group, name)
            assert getattr(day, name) == (pytest.approx(expected) if isinstance(expected, float) else expected), name


def test_groups_of_a_day_are_taken_together(database: Database, review_log: ModuleType) -> None:
    review_log.fill(database)
    with database.read() as session:
        groups = [day for day in usage_by_day(session, PERIOD) if day.day == "2025-06-10"]
        (day,) = days_in_all(session, Period(first=date(2025, 6, 10), last=date(2025, 6, 10)))
    assert len(groups) == 2
    assert day.num_questions == sum(group.num_questions for group in groups) == 3
    # 98 ms twice or thereabouts, and 310: the median of all is none of the medians' mean.
    assert day.p50_ms is not None
    assert day.p50_ms < 310.0 == day.p95_ms
    weighted = sum(group.mean_confidence * group.num_questions for group in groups) / 3
    assert day.mean_confidence == pytest.approx(weighted)


def test_days_without_a_question_are_not_there(database: Database) -> None:
    with database.read() as session:
        assert days_in_all(session, PERIOD) == []
