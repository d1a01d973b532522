"""Options of the commands that look for something: what to leave out, and with whose eyes to look."""

from typing import Annotated

import typer

from rag.records import Caller

FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="name=value, or with !=, >, >=, <, <=, or a JSON object with operators; may be given several times.",
    ),
]
CallerLabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--access-label",
        help="Look as someone who holds this label; may be given several times. Without it, all documents are seen.",
    ),
]


def caller_with(access_labels: list[str] | None) -> Caller:
    """Someone with these labels; the owner of the database where none are given."""
    return Caller(access_labels=frozenset(access_labels) if access_labels else None)
