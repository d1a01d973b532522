"""Waiting for files to change."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from watchfiles import Change, watch

QUIET_MS = 500
"""A file that is being written is read once nothing has changed for so long."""
LONGEST_MS = 5_000
"""Changes that do not stop are told after so long all the same."""


def changed_files(paths: Sequence[Path], *, stop: Event | None = None) -> Iterator[tuple[list[Path], list[Path]]]:
    """Files below ``paths`` that came or changed, and those that are gone, as it happens; hidden ones are passed over.

    Ends when ``stop`` is set, or with the interruption of the program.
    """
    for changes in watch(*paths, debounce=LONGEST_MS, step=QUIET_MS, stop_event=stop, raise_interrupt=False):
        changed, gone = set(), set()
        for change, name in changes:
            path = Path(name)
            if any(part.startswith(".") for part in path.parts[1:]):
                continue
            if change is Change.deleted or not path.exists():
                gone.add(path)
            elif path.is_file():
                changed.add(path)
        if changed or gone:
            yield sorted(changed), sorted(gone - changed)
