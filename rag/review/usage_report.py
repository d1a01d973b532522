"""Usage in a period, day by day, and what has changed since the period before it."""

from dataclasses import dataclass
from datetime import date, timedelta

from rag.errors import InvalidInput
from rag.review.drift import Drift, drifts
from rag.store.database import Database
from rag.store.usage import DayInAll, DayOfUsage, Period, usage_by_day, values_of
from rag.store.usage_totals import days_in_all

MAX_DAYS = 3_660
"""Ten years: more than any log holds, and few enough to stay within the calendar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """The days of a period, and each measure beside that of the period before.

    ``days`` are by collection and model, ``in_all`` over all of these.
    """

    days: tuple[DayOfUsage, ...]
    in_all: tuple[DayInAll, ...]
    drift: tuple[Drift, ...]


def last_days(num_days: int, *, until: date) -> Period:
    """So many days, of which ``until`` is the last.

    Raises:
        InvalidInput: ``num_days`` is not 1 to ``MAX_DAYS``, or the calendar does not go back so far.
    """
    if not 1 <= num_days <= MAX_DAYS:
        raise InvalidInput(f"The number of days must be 1 to {MAX_DAYS}, not {num_days}.")
    try:
        period = Period(first=until - timedelta(days=num_days - 1), last=until)
        _ = period.before, until + timedelta(days=1)
    except OverflowError as error:
        raise InvalidInput(f"The calendar has no such days around {until}; name another day.") from error
    return period


def usage_report(
    database: Database, period: Period, *, collection: str | None = None, model: str | None = None
) -> UsageReport:
    """Usage of a collection, or all; of the answers of a model, or all."""
    with database.read() as session:
        days = usage_by_day(session, period, collection=collection, model=model)
        in_all = days_in_all(session, period, collection=collection, model=model)
        before = values_of(session, period.before, collection=collection, model=model)
        after = values_of(session, period, collection=collection, model=model)
    return UsageReport(days=tuple(days), in_all=tuple(in_all), drift=tuple(drifts(before, after)))
