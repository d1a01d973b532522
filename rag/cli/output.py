"""Printing: results on standard output, progress and notes on standard error."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

SECONDS_BETWEEN_LINES = 2.0
"""Where there is no terminal, progress is plain lines, and not too many of them."""


def console() -> Console:
    """Standard output. Not a terminal: no colours, and as wide as the text."""
    return Console(highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """A line on standard error, beside the result."""
    sys.stderr.write(f"{message}\n")


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; cells are shown as they are, never read as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=200)
    out.print(table)


class Counter:
    """Progress of something countable: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, what: str, *, total: int | None = None) -> None:
        self._what, self._total = what, total
        self._started = self._last = time.monotonic()
        self._progress: Progress | None = None
        err = Console(stderr=True)
        if err.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:.1f}/s"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[current]}"),
                console=err,
                transient=True,
            )
            self._task = self._progress.add_task(what, total=total, rate=0.0, current="")

    def __enter__(self) -> Self:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def show(self, num_done: int, *, total: int | None = None, current: str = "") -> None:
        """Say how far it is."""
        now = time.monotonic()
        self._total = total if total is not None else self._total
        rate = num_done / max(now - self._started, 1e-9)
        if self._progress:
            self._progress.update(self._task, completed=num_done, total=self._total, rate=rate, current=current[:40])
        elif now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            of = f" of {self._total}" if self._total else ""
            note(f"{self._what}: {num_done}{of}, {rate:.1f}/s")
