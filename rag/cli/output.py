"""Printing: results on standard output, progress and notes on standard error."""

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rag.errors import InvalidInput

SECONDS_BETWEEN_LINES = 2.0
"""Where there is no terminal, progress is plain lines, and not too many of them."""
SPEED_SECONDS = 300.0
"""The time left is told from the speed of so long: a step of training may take several seconds."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console() -> Console:
    """Standard output. Not a terminal: no colours, and as wide as the text."""
    return Console(highlight=False, soft_wrap=True)


def note(message: str) -> None:
    """A line on standard error, beside the result."""
    sys.stderr.write(_CONTROLS.sub("\ufffd", message) + "\n")


def plain(value: object, style: str = "") -> Text:
    """A value as it is: never read as markup, and unable to steer the terminal, whoever wrote it."""
    return Text(_CONTROLS.sub("\ufffd", str(value)), style=style)


def print_json(value: object) -> None:
    """One JSON value on standard output."""
    escaped = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    sys.stdout.write(json.dumps(value, ensure_ascii=escaped, indent=2, default=str) + "\n")
    sys.stdout.flush()  # a reader that has gone is noticed now, not when the process ends


def require_folder_of(path: Path | None) -> None:
    """See that ``path`` could be written, before the work whose result it is to hold.

    Raises:
        InvalidInput: its folder is not there.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise InvalidInput(f"Cannot write {path}: there is no folder {path.absolute().parent}.")


def write_file(path: Path, text: str, *, what: str) -> None:
    """Write a file that the user asked for, and say so; ``what`` is what is in it.

    Raises:
        InvalidInput: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"Cannot write {path}: {error.strerror}.") from error
    note(f"{what} written to {path}")


@contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears whole when the block ends, or not at all when an error leaves it.

    Raises:
        InvalidInput: the file cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()  # a reader that has gone is noticed now
        return
    target = path.absolute()
    written = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with written.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        written.replace(target)
    except OSError as error:
        raise InvalidInput(f"Cannot write {path}: {error.strerror}.") from error
    finally:
        written.unlink(missing_ok=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; cells are shown as they are, never read as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(plain("" if cell is None else cell) for cell in row))
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=200)
    out.print(table)


class Counter:
    """Progress of something countable: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, what: str, *, total: int | None = None) -> None:
        self._what, self._total = what, total
        self._last = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._progress: Progress | None = None
        err = Console(stderr=True)
        if err.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[current]}", markup=False),
                console=err,
                transient=True,
                speed_estimate_period=SPEED_SECONDS,
            )
            self._task = self._progress.add_task(what, total=total, rate="", current="")

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
        rate = self._rate(num_done, now)
        if self._progress:
            self._progress.update(self._task, completed=num_done, total=self._total, rate=rate, current=current[:40])
        elif now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            of = f" of {self._total}" if self._total else ""
            note(", ".join(part for part in (f"{self._what}: {num_done}{of}", rate, current) if part))

    def _rate(self, num_done: int, now: float) -> str:
        """The speed since the first report: what a resumed run found done, and loading the models, do not count."""
        if self._first is None:
            self._first = (num_done, now)
        num_before, started = self._first
        return f"{(num_done - num_before) / (now - started):.1f}/s" if num_done > num_before and now > started else ""
