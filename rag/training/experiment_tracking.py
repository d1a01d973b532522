"""The record of a training run: what every tracker is told, and the tracker that writes SQL.

A run that is killed says nothing any more. Trackers must therefore be complete after each point, and able to go on.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from rag.errors import Unavailable
from rag.store.database import Database
from rag.store.training_runs import (
    TrainingRunStart,
    add_training_point,
    finish_training_run,
    rewind_training_run,
    start_training_run,
    training_curves,
)
from rag.training.run_description import describe_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStep:
    """What was measured at a step: names and numbers."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ended. ``scores`` are its final figures, ``weights`` the file that came of it."""

    status: Literal["finished", "failed", "interrupted"]
    scores: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None

    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights, None without any."""
        return None if self.weights is None else describe_file(self.weights).sha256


class ExperimentTracker(Protocol):
    """A place where the record of one run goes."""

    def start(self, run: TrainingRunStart, earlier: Sequence[MeasuredStep]) -> None:
        """The run begins, or goes on after ``earlier``: what was measured before, and is not measured again."""
        ...

    def add(self, measured: MeasuredStep) -> None:
        """A step was measured. Trouble of the tracker's own must not stop the training: it is logged."""
        ...

    def finish(self, outcome: RunOutcome) -> None:
        """The run has ended."""
        ...


class TrackedRun:
    """A run as its trackers see it, from ``with`` to the end of the block.

    A block that ends without ``finish`` has finished without scores; one left by an error has failed, or was
    interrupted.
    """

    def __init__(
        self,
        run: TrainingRunStart,
        trackers: Sequence[ExperimentTracker],
        *,
        earlier: Sequence[MeasuredStep] = (),
    ) -> None:
        self._run, self._trackers, self._earlier = run, trackers, earlier
        self._ended = False

    def __enter__(self) -> Self:
        for tracker in self._trackers:
            tracker.start(self._run, self._earlier)
        return self

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Record what was measured at a step."""
        for tracker in self._trackers:
            tracker.add(MeasuredStep(step=step, values=values))

    def finish(self, *, scores: Mapping[str, Any], weights: Path | None = None) -> None:
        """Record what came of the run.

        Raises:
            Unavailable: a tracker cannot be reached.
        """
        self._end(RunOutcome(status="finished", scores=scores, weights=weights))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if kind is None:
            self._end(RunOutcome(status="finished"))
            return
        stopped = RunOutcome(status="interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        try:
            self._end(stopped)
        except Unavailable as unavailable:  # what stopped the run is the better thing to say
            log.warning("The end of the run was not recorded: %s", unavailable)

    def _end(self, outcome: RunOutcome) -> None:
        self._ended = True
        for tracker in self._trackers:
            tracker.finish(outcome)


class SqlTracker:
    """Keeps a run as a row of ``training_runs`` and its curves in ``training_points``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[MeasuredStep] = []  # while the database was locked or away
        self.run_id = 0

    def start(self, run: TrainingRunStart, earlier: Sequence[MeasuredStep]) -> None:
        """Make the row, or find it again; bring its points to what is in ``earlier``.

        Raises:
            StoreUnavailable: the database cannot be written.
        """
        with self._database.write() as session:
            self.run_id = start_training_run(session, run)
            rewind_training_run(session, self.run_id, earlier[-1].step if earlier else 0)
            known = {step for curve in training_curves(session, self.run_id).values() for step, _ in curve}
            for measured in earlier:
                if measured.step not in known:
                    add_training_point(session, self.run_id, measured.step, measured.values)

    def add(self, measured: MeasuredStep) -> None:
        """Write a point; when the database does not take it, try again with the next one."""
        self._waiting.append(measured)
        try:
            self._write_waiting()
        except Unavailable as error:
            log.warning("The training goes on, but its record waits: %s", error)

    def finish(self, outcome: RunOutcome) -> None:
        """Close the row.

        Raises:
            StoreUnavailable: the database cannot be written.
        """
        self._write_waiting()
        with self._database.write() as session:
            finish_training_run(
                session,
                self.run_id,
                status=outcome.status,
                scores=outcome.scores,
                weights_path=None if outcome.weights is None else str(outcome.weights),
                weights_sha256=outcome.weights_sha256(),
            )

    def _write_waiting(self) -> None:
        with self._database.write() as session:
            for measured in self._waiting:
                add_training_point(session, self.run_id, measured.step, measured.values)
        self._waiting = []
