"""Drift: the tests against figures worked out by hand, what is flagged, and what is not."""

import random
from datetime import UTC, date, datetime, timedelta
from types import ModuleType

import pytest

from rag.errors import InvalidInput
from rag.review.drift import compare_shares, compare_values, drifts, holm
from rag.review.usage_report import last_days, usage_report
from rag.store.database import Database
from rag.store.usage import SCORES, Period, PeriodValues, values_of


def period_values(num: int, *, answered: float = 0.8, shift: float = 0.0, seed: int = 0) -> PeriodValues:
    drawn = random.Random(seed)
    return PeriodValues(
        num_questions=num,
        num_answered=round(num * answered),
        num_thumbs_up=num // 2,
        num_thumbs_down=num // 10,
        values={name: [drawn.gauss(shift if name == "total_ms" else 0, 1) for _ in range(num)] for name in SCORES},
    )


def test_z_of_two_shares_by_hand() -> None:
    # 60 of 100, then 45 of 100: pooled 0.525, error sqrt(0.525 * 0.475 / 50) = 0.070622, z = -0.15 / 0.070622.
    found = compare_shares("answer_rate", (60, 100), (45, 100))
    assert (found.before, found.after, found.effect) == pytest.approx((0.6, 0.45, -0.15))
    assert found.statistic == pytest.approx(-2.12398, abs=1e-5)
    assert found.p_value == pytest.approx(0.033673, abs=1e-5)


def test_u_of_two_samples_by_hand() -> None:
    # Of 20 * 20 pairs, the later value is above in all but those with the one low value, which loses to all 20.
    before, after = [float(n) for n in range(20)], [float(n) for n in range(100, 119)] + [-1.0]
    found = compare_values("total_ms", before, after)
    assert (found.statistic, found.effect) == (380.0, 0.95)
    # Normal approximation: (380 - 0.5 - 200) / sqrt(400 * 41 / 12).
    assert found.p_value is not None
    assert found.p_value == pytest.approx(1.206e-06, rel=1e-2)
    assert (found.before, found.after) == (9.5, 108.5)


def test_adjusted_p_values_by_hand() -> None:
    # Smallest times 4, next times 3 ..., none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_same_kind_of_period_is_no_drift() -> None:
    found = drifts(period_values(400, seed=1), period_values(400, seed=2))
    assert [drift.measure for drift in found] == ["answer_rate", "thumbs_up_rate", *SCORES]
    assert not any(drift.drifted for drift in found)


def test_what_changed_is_flagged_and_nothing_else() -> None:
    found = drifts(period_values(400, seed=1), period_values(400, answered=0.6, shift=1.0, seed=2))
    assert {drift.measure for drift in found if drift.drifted} == {"answer_rate", "total_ms"}


def test_sure_but_small_changes_are_not_flagged() -> None:
    found = drifts(period_values(20_000, seed=1), period_values(20_000, answered=0.78, shift=0.1, seed=2))
    small = {drift.measure: drift for drift in found}
    for measure in ("answer_rate", "total_ms"):
        assert small[measure].adjusted_p_value is not None
        assert small[measure].adjusted_p_value < 0.001
        assert not small[measure].drifted


def test_few_values_are_shown_and_not_tested() -> None:
    found = drifts(period_values(19), period_values(500, answered=0.1, shift=9.0))
    assert all(drift.p_value is None and not drift.drifted for drift in found)
    assert found[0].before == pytest.approx(15 / 19)
    nothing = drifts(period_values(0), period_values(0))
    assert all((drift.before, drift.after, drift.p_value) == (None, None, None) for drift in nothing)


def test_values_that_are_all_the_same_are_no_drift() -> None:
    found = compare_values("faithfulness", [1.0] * 30, [1.0] * 30)
    assert (found.p_value, found.effect) == (1.0, 0.5)
    assert compare_shares("answer_rate", (30, 30), (30, 30)).p_value == 1.0


def test_period_before_is_as_long_and_ends_the_day_before() -> None:
    period = last_days(7, until=date(2025, 6, 8))
    assert period == Period(first=date(2025, 6, 2), last=date(2025, 6, 8))
    assert period.before == Period(first=date(2025, 5, 26), last=date(2025, 6, 1))


@pytest.mark.parametrize(
    ("days", "until"), [(0, date(2025, 1, 1)), (4_000, date(2025, 1, 1)), (9, date.min), (1, date.max)]
)
def test_days_that_no_calendar_has_are_refused(days: int, until: date) -> None:
    with pytest.raises(InvalidInput):
        last_days(days, until=until)


def test_usage_of_a_known_log(database: Database, review_log: ModuleType) -> None:
    review_log.fill(database)
    period = last_days(7, until=date(2025, 6, 15))
    report = usage_report(database, period)
    assert [(day.day, day.collection, day.num_questions, day.num_thumbs_up, day.p50_ms) for day in report.days] == [
        ("2025-06-09", "handbook", 2, 1, 90.0),
        ("2025-06-10", "handbook", 2, 0, 98.0),
        ("2025-06-10", "tickets", 1, 0, 310.0),
    ]
    rate = report.drift[0]
    assert (rate.num_before, rate.num_after, rate.before, rate.after) == (12, 5, pytest.approx(8 / 12), 0.8)
    only = usage_report(database, period, collection="tickets", model="reader-4")
    assert [day.collection for day in only.days] == ["tickets"]
    assert (only.drift[0].num_before, only.drift[0].num_after) == (0, 1)
    assert usage_report(database, period, model="nobody").days == ()


def test_last_day_of_a_period_counts_whole(database: Database, review_log: ModuleType) -> None:
    review_log.fill(database)
    day = (review_log.FIRST_DAY + timedelta(days=1)).date()
    assert day == datetime(2025, 6, 3, tzinfo=UTC).date()
    with database.read() as session:
        assert values_of(session, Period(first=day, last=day)).num_questions == 3
