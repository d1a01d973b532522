"""A place in a list that is read page by page, as text: the numbers that the list is ordered by."""

import math
from typing import Any

from rag.errors import InvalidInput

MAX_INTEGER = 2**63 - 1
"""Of a number in SQL."""


def place_text(*numbers: float) -> str:
    """What a page hands out for the next one."""
    return " ".join(map(repr, numbers))


def parse_place(text: str, *kinds: type[int] | type[float]) -> tuple[Any, ...]:
    """The numbers of a place, each of the kind that its list has there.

    Raises:
        InvalidInput: the text is none that a list has given.
    """
    parts = text.split(" ")
    try:
        numbers = tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except ValueError as error:
        raise _refusal() from error
    if not all(0 <= number <= MAX_INTEGER if isinstance(number, int) else math.isfinite(number) for number in numbers):
        raise _refusal()
    return numbers


def _refusal() -> InvalidInput:
    return InvalidInput("The cursor is not one that this list has given; leave it out for the first page.")
