"""What the small training examples share: their options, a progress bar, and the record of the run."""

import argparse
import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.cli.output import Counter, note
from rag.config import load_settings
from rag.errors import InvalidInput
from rag.store.database import Database
from rag.store.migrate import require_current
from rag.training.experiment_tracking import ExperimentTracker, SqlTracker, TrackedRun
from rag.training.mlflow_tracker import MlflowTracker
from rag.training.run_description import describe_file, describe_run
from rag.training.tracked_training import tracked_training
from rag.training.trainer import Trainer, TrainerProgress


def read_options(description: str, *, data: Path, num_steps: int) -> argparse.Namespace:
    """The options of an example, with its own defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data, help=f"what to learn from (default: {data.name})")
    parser.add_argument("--steps", type=int, default=num_steps, help=f"steps of the optimiser (default: {num_steps})")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random (default: 1)")
    parser.add_argument("--folder", type=Path, help="keep the run here; the same command resumes it")
    parser.add_argument("--record", action="store_true", help="record the run in the database of the settings")
    parser.add_argument("--mlflow", metavar="URI", help="record the run on this MLflow server as well")
    options = parser.parse_args()
    if options.folder is None:
        options.folder = Path(tempfile.mkdtemp(prefix="training-"))
        atexit.register(shutil.rmtree, options.folder)
    return options


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without blank ones and without what is there twice.

    Raises:
        InvalidInput: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"Cannot read {path}: {error}.") from error
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def identity_of(options: argparse.Namespace) -> dict[str, str]:
    """What a resumed run must have in common with the one that was killed."""
    return {"data": describe_file(options.data).sha256}


@contextmanager
def trained(
    trainer: Trainer[Any, Any], options: argparse.Namespace, *, kind: str, settings: Mapping[str, Any]
) -> Iterator[TrackedRun]:
    """Train to the end, going on where a killed run stopped; the block then measures, and calls ``finish``."""
    config = trainer.config
    run = describe_run(
        options.folder,
        kind=kind,
        num_steps=config.num_steps,
        seed=config.seed,
        settings=settings,
        data=[options.data],
        dtype=config.dtype,
    )
    with _trackers(options) as trackers, Counter("steps", total=config.num_steps) as counter:

        def show(progress: TrainerProgress) -> None:
            speed = f"{progress.examples_per_second:.0f} examples/s, {progress.seconds_left:.0f} s left"
            counter.show(progress.point.step, current=f"loss {progress.point.loss:.3f}, {speed}")

        with tracked_training(trainer, run, trackers, on_resume=_say_step, on_progress=show) as tracked:
            yield tracked


def _say_step(step: int) -> None:
    if step:
        note(f"going on from step {step}")


@contextmanager
def _trackers(options: argparse.Namespace) -> Iterator[list[ExperimentTracker]]:
    """Where the run is to be recorded."""
    trackers: list[ExperimentTracker] = [MlflowTracker(options.mlflow)] if options.mlflow else []
    if not options.record:
        yield trackers
        return
    database = Database(load_settings().resolved_database_url)
    try:
        require_current(database)
        yield [*trackers, SqlTracker(database)]
    finally:
        database.dispose()
