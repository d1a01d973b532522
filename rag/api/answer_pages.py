"""The list of answers page by page: its cursors are the same over REST and on the command line."""

from collections.abc import Sequence

from rag.api.paging import cut_page, read_cursor
from rag.store.answer_order import AnswerCursor, AnswerSort, cursor_of
from rag.store.answer_review import ReviewRow


def answers_after(cursor: str, sort: AnswerSort) -> AnswerCursor | None:
    """The place that a cursor names; None for the first page.

    Raises:
        InvalidInput: it is no cursor of this list in this order.
    """
    place = read_cursor(cursor, _name(sort), first="")
    return AnswerCursor.parse(place) if place else None


def page_of_answers(rows: Sequence[ReviewRow], sort: AnswerSort, *, limit: int) -> tuple[list[ReviewRow], str | None]:
    """The first ``limit`` of the rows, and the cursor of the next page where there are more."""
    return cut_page(rows, _name(sort), limit=limit, key=lambda row: str(cursor_of(row, sort)))


def _name(sort: AnswerSort) -> str:
    return f"answers by {sort}"
