"""The record of a run: rows that survive kills, trackers that never stop a training, and MLflow."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rag.errors import InvalidInput, NotFound, StoreUnavailable, Unavailable
from rag.store.database import Database
from rag.store.training_runs import TrainingRunStart, get_training_run, list_training_runs, training_curves
from rag.training.experiment_tracking import MeasuredStep, RunOutcome, SqlTracker, TrackedRun
from rag.training.mlflow_tracker import MlflowTracker
from rag.training.run_description import code_version, describe_file, describe_machine, describe_run


def _describe(folder: Path, num_steps: int = 30) -> TrainingRunStart:
    data = folder / "data.txt"
    folder.mkdir(exist_ok=True)
    data.write_text("anna\nbob\n")
    return describe_run(
        folder, kind="names", num_steps=num_steps, seed=3, settings={"rate": {"peak": 0.1}}, data=[data]
    )


def _points(*steps: int) -> list[MeasuredStep]:
    return [MeasuredStep(step=step, values={"loss": 100.0 - step}) for step in steps]


class Memory:
    """A tracker that remembers what it was told, and fails when it is told to."""

    def __init__(self) -> None:
        self.started: list[list[int]] = []
        self.steps: list[int] = []
        self.outcomes: list[RunOutcome] = []
        self.refuses_to_finish = False

    def start(self, run: TrainingRunStart, earlier: Sequence[MeasuredStep]) -> None:  # noqa: ARG002
        self.started.append([measured.step for measured in earlier])

    def add(self, measured: MeasuredStep) -> None:
        self.steps.append(measured.step)

    def finish(self, outcome: RunOutcome) -> None:
        if self.refuses_to_finish:
            raise Unavailable("gone")
        self.outcomes.append(outcome)


def test_description_holds_what_is_needed_to_do_it_again(tmp_path: Path) -> None:
    run = _describe(tmp_path)
    assert run.data_files[0].num_bytes == 9
    assert run.data_files[0].sha256 == "f2d79fceb11407f5d6bfeb35a61b6f5847cdab273d4b64613b2afe6bda117fd7"
    assert run.machine["dtype"] == "float32"
    assert {"processor", "num_cores", "num_threads", "torch", "python", "system"} <= set(describe_machine())
    assert describe_machine()["processor"]
    assert code_version().startswith("0.1.0")


def test_folder_keeps_the_key_of_its_run(tmp_path: Path) -> None:
    assert _describe(tmp_path / "a").run_key == _describe(tmp_path / "a").run_key
    assert _describe(tmp_path / "a").run_key != _describe(tmp_path / "b").run_key
    (tmp_path / "a" / "run.json").write_text("[]")
    with pytest.raises(InvalidInput, match="does not hold the key of a run"):
        _describe(tmp_path / "a")
    with pytest.raises(InvalidInput, match="Cannot read"):
        describe_file(tmp_path / "none")


def test_run_that_ends_well_has_its_scores_and_the_hash_of_its_weights(database: Database, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    tracker = SqlTracker(database)
    with TrackedRun(_describe(tmp_path), [tracker]) as run:
        run.add(10, {"loss": 2.0})
        run.finish(scores={"loss": 1.5}, weights=weights)
    with database.read() as session:
        record = get_training_run(session, tracker.run_id)
        assert training_curves(session, tracker.run_id) == {"loss": [(10, 2.0)]}
    assert (record.status, record.scores, record.seed, record.step) == ("finished", {"loss": 1.5}, 3, 10)
    assert record.weights_path == str(weights)
    assert record.weights_sha256 == describe_file(weights).sha256


@pytest.mark.parametrize(("error", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_run_left_by_an_error_says_so(
    database: Database, tmp_path: Path, error: type[BaseException], status: str
) -> None:
    def train() -> None:
        with TrackedRun(_describe(tmp_path), [SqlTracker(database)]) as run:
            run.add(10, {"loss": 2.0})
            raise error

    with pytest.raises(error):
        train()
    with database.read() as session:
        (record,) = list_training_runs(session)
    assert (record.status, record.step) == (status, 10)
    assert record.finished_at is not None


def test_resumed_run_goes_on_in_its_row_from_where_its_checkpoint_was(database: Database, tmp_path: Path) -> None:
    killed = SqlTracker(database)
    killed.start(_describe(tmp_path), [])
    for measured in _points(10, 20, 30):
        killed.add(measured)  # and no word after that
    with TrackedRun(_describe(tmp_path, 60), [SqlTracker(database)], earlier=_points(10, 20)) as run:
        run.add(30, {"loss": 1.0})
    with database.read() as session:
        (record,) = list_training_runs(session)
        assert training_curves(session, record.id) == {"loss": [(10, 90.0), (20, 80.0), (30, 1.0)]}
    assert (record.status, record.num_starts, record.num_steps) == ("finished", 2, 60)


def test_points_from_before_are_added_to_a_database_that_lacks_them(database: Database, tmp_path: Path) -> None:
    with TrackedRun(_describe(tmp_path), [SqlTracker(database)], earlier=_points(10, 20)):
        pass
    with database.read() as session:
        assert training_curves(session, 1) == {"loss": [(10, 90.0), (20, 80.0)]}


def test_locked_database_does_not_stop_a_training(
    sqlite_database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    impatient = Database(f"sqlite:///{sqlite_database.path}", busy_timeout=0.05)
    tracker = SqlTracker(impatient)
    with TrackedRun(_describe(tmp_path), [tracker]) as run:
        with caplog.at_level(logging.WARNING), sqlite_database.write():
            run.add(10, {"loss": 2.0})
        assert "its record waits" in caplog.text
        run.add(20, {"loss": 1.0})
    with sqlite_database.read() as session:
        assert training_curves(session, tracker.run_id) == {"loss": [(10, 2.0), (20, 1.0)]}
    impatient.dispose()


def test_database_that_is_not_there_is_said_before_the_training(tmp_path: Path) -> None:
    run = TrackedRun(_describe(tmp_path), [SqlTracker(Database(f"sqlite:///{tmp_path / 'none.db'}"))])
    with pytest.raises(StoreUnavailable, match="rag db upgrade"), run:
        pytest.fail("the training must not begin")


def test_error_of_the_training_is_not_hidden_by_that_of_a_tracker(tmp_path: Path) -> None:
    memory = Memory()
    memory.refuses_to_finish = True
    with pytest.raises(NotFound, match="the reason"), TrackedRun(_describe(tmp_path), [memory]):
        raise NotFound("the reason")
    with pytest.raises(Unavailable, match="gone"), TrackedRun(_describe(tmp_path), [memory]):
        pass


def test_every_tracker_is_told_everything_once(tmp_path: Path) -> None:
    first, second = Memory(), Memory()
    with TrackedRun(_describe(tmp_path), [first, second], earlier=_points(5)) as run:
        run.add(10, {"loss": 1.0})
        run.finish(scores={})
    for memory in (first, second):
        assert (memory.started, memory.steps) == ([[5]], [10])
        assert [outcome.status for outcome in memory.outcomes] == ["finished"]


def test_mlflow_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InvalidInput, match=r"install grounded-rag\[mlflow\]"):
        MlflowTracker("sqlite:///x.db")


MLFLOW_STORY = """
import json, sys
from pathlib import Path
from rag.errors import Unavailable
from rag.training.experiment_tracking import MeasuredStep, TrackedRun
from rag.training.mlflow_tracker import MlflowTracker
from rag.training.run_description import describe_run

uri, folder = sys.argv[1], Path(sys.argv[2])
def described():
    settings, data = {"rate": {"peak": 0.1}}, [folder / "data.txt"]
    return describe_run(folder, kind="names", num_steps=30, seed=3, settings=settings, data=data)
try:
    with TrackedRun(described(), [MlflowTracker(uri)]) as run:
        run.add(10, {"loss": 2.0, "accuracy": 0.25})
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
earlier = [MeasuredStep(step=10, values={"loss": 2.0}), MeasuredStep(step=15, values={"loss": 1.5})]
with TrackedRun(described(), [MlflowTracker(uri)], earlier=earlier) as run:
    run.add(20, {"loss": 1.0})
    run.finish(scores={"test": {"loss": 0.5}, "name": "x"}, weights=folder / "data.txt")
import mlflow
from mlflow.telemetry.client import get_telemetry_client
client = mlflow.MlflowClient(tracking_uri=uri)
(entry,) = client.search_runs([client.get_experiment_by_name("grounded-rag").experiment_id])
try:
    MlflowTracker("nonsense://x").start(described(), [])
except Unavailable as error:
    refused = str(error)
print(json.dumps({
    "status": entry.info.status, "name": entry.info.run_name, "params": entry.data.params, "tags": entry.data.tags,
    "loss": [[m.step, m.value] for m in client.get_metric_history(entry.info.run_id, "loss")],
    "final": entry.data.metrics["final.test.loss"], "telemetry": get_telemetry_client() is not None, "refused": refused,
}))
"""


@pytest.mark.slow
def test_mlflow_keeps_a_killed_and_resumed_run_in_one_entry(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("anna\n")
    # A process of its own: MLflow changes logging and the environment, and knows of tests by the environment.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_CURRENT_TEST")}
    done = subprocess.run(
        [sys.executable, "-c", MLFLOW_STORY, f"file://{tmp_path / 'mlruns'}", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        # A folder of files takes a second where the tables of an SQLite store take twenty.
        env={**environment, "HOME": str(tmp_path), "MLFLOW_ALLOW_FILE_STORE": "true"},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)  # and nothing but it: MLflow writes nothing among the results
    assert (seen["status"], seen["name"]) == ("FINISHED", "names")
    assert seen["loss"] == [[10, 2.0], [15, 1.5], [20, 1.0]]
    assert (seen["params"]["settings.rate.peak"], seen["params"]["seed"]) == ("0.1", "3")
    assert describe_file(tmp_path / "data.txt").sha256 in seen["params"]["data.0"]
    assert seen["tags"]["weights_sha256"] == describe_file(tmp_path / "data.txt").sha256
    assert seen["final"] == 0.5
    assert seen["telemetry"] is False
    assert "nonsense://x" in seen["refused"]
