"""Lists page by page: the option that continues one, and the line that tells how."""

from typing import Annotated

import typer

from rag.cli.output import note

CursorOption = Annotated[str, typer.Option("--cursor", help="Continue a list: what its page before says is next.")]


def note_next(cursor: str | None) -> None:
    """Tell how to go on, beside the result, where there is more."""
    if cursor is not None:
        note(f"more with --cursor {cursor}")
