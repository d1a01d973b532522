"""Moments and days in requests."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BeforeValidator


def _not_a_number(value: object) -> object:
    # pydantic takes a bare number for seconds since 1970, and so 2025 for half an hour past midnight of that day.
    if isinstance(value, str) and value.replace(".", "", 1).lstrip("+-").isdecimal():
        raise ValueError("write a moment as 2025-06-30T16:00:00Z, or a day as 2025-06-30")
    return value


Day = Annotated[date, BeforeValidator(_not_a_number)]
"""A day (RFC 3339)."""
Moment = Annotated[datetime, BeforeValidator(_not_a_number)]
"""A moment or a day (RFC 3339); UTC where it names no zone."""
