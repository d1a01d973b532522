"""Cursor paging, the same for every list: ``limit`` entries a page, and ``next`` to ask for what follows.

A cursor names the last entry that was shown, not a number of entries to skip. So a page neither repeats nor leaves out
an entry because others came or went meanwhile.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from rag.errors import InvalidInput

MAX_ID = 2**63 - 1
"""Of an id in SQL."""
NEXT = "Asks for the next page, as `cursor`; null on the last one."

Row = TypeVar("Row")
Key = TypeVar("Key", int, str)

Cursor = Annotated[str, Query(description="`next` of the page before, which means nothing by itself.")]
Limit = Annotated[int, Query(ge=1, le=1_000, description="Entries on a page.")]


def make_cursor(of: str, key: int | str) -> str:
    """The cursor of a page of the list ``of`` that ended with the entry of that key."""
    return base64.urlsafe_b64encode(json.dumps([of, key]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, of: str, *, first: Key) -> Key:
    """The key that a cursor holds; ``first`` for the empty one, which asks for the first page.

    Raises:
        InvalidInput: it is none, or one of another list.
    """
    if not cursor:
        return first
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidInput("The cursor is not one that a list has given; leave it out for the first page.") from error
    match value:
        case [named, key] if named == of and type(key) is type(first) and (isinstance(key, str) or 0 <= key <= MAX_ID):
            return key
    raise InvalidInput("The cursor is one of another list; leave it out for the first page.")


def cut_page(
    rows: Sequence[Row], of: str, *, limit: int, key: Callable[[Row], int | str]
) -> tuple[list[Row], str | None]:
    """The first ``limit`` of the rows, and the cursor of the next page where there are more; ``key`` is a row's own."""
    shown = list(rows[:limit])
    return shown, make_cursor(of, key(shown[-1])) if len(rows) > limit else None
