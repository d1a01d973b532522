"""Training a model to the end, resumed where a killed run stopped, with every point of its curve put on record."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rag.store.training_runs import TrainingRunStart
from rag.training.experiment_tracking import ExperimentTracker, MeasuredStep, TrackedRun
from rag.training.trainer import Trainer, TrainerProgress


@contextmanager
def tracked_training(
    trainer: Trainer[Any, Any],
    run: TrainingRunStart,
    trackers: Sequence[ExperimentTracker],
    *,
    on_resume: Callable[[int], None],
    on_progress: Callable[[TrainerProgress], None],
) -> Iterator[TrackedRun]:
    """Train to the end; the block then measures what came of it, and calls ``finish``.

    Args:
        trainer: the run, before its first step.
        run: what is told of it.
        trackers: who is told.
        on_resume: called once with the step that the run goes on from, 0 for a new one.
        on_progress: called with each point of the curve.

    Raises:
        InvalidInput: the folder holds another run, or the training cannot go on; see ``Trainer``.
        Unavailable: a tracker cannot be reached at the start.
    """
    on_resume(trainer.resume())
    earlier = [MeasuredStep(step=point.step, values=point.values()) for point in trainer.log.read()]
    with TrackedRun(run, trackers, earlier=earlier) as tracked:

        def show(progress: TrainerProgress) -> None:
            tracked.add(progress.point.step, progress.point.values())
            on_progress(progress)

        trainer.run(show)
        yield tracked
