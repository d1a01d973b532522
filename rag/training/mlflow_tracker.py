"""Training runs on an MLflow server, or in its SQLite file, for teams that have one: the extra ``mlflow``."""

import importlib
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from rag.errors import InvalidInput, Unavailable
from rag.store.training_runs import TrainingRunStart
from rag.training.experiment_tracking import MeasuredStep, RunOutcome

EXPERIMENT = "grounded-rag"
KEY_TAG = "run_key"
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}

log = logging.getLogger(__name__)


class MlflowTracker:
    """Sends a run to MLflow. A resumed run goes on in its own entry, found by the tag ``run_key``."""

    def __init__(self, uri: str, *, experiment: str = EXPERIMENT) -> None:
        """Prepare; nothing is sent yet. ``uri`` is MLflow's tracking URI: http(s) or sqlite.

        Raises:
            InvalidInput: the package is missing.
        """
        self._uri, self._experiment = uri, experiment
        self._mlflow = _import_mlflow()
        self._failure: type[Exception] = self._mlflow.exceptions.MlflowException
        self._client: Any = None
        self._run_id = ""

    def start(self, run: TrainingRunStart, earlier: Sequence[MeasuredStep]) -> None:
        """Open the entry, and send those of ``earlier`` that it lacks.

        Raises:
            Unavailable: the server does not answer, or the URI is not one of MLflow's.
        """
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=self._uri)
            found = self._client.get_experiment_by_name(self._experiment)
            experiment_id = found.experiment_id if found else self._client.create_experiment(self._experiment)
            filter_string = f"tags.{KEY_TAG} = '{run.run_key}'"
            entries = self._client.search_runs([experiment_id], filter_string=filter_string, max_results=1)
            if entries:
                self._run_id = entries[0].info.run_id
                self._client.update_run(self._run_id, status="RUNNING")
            else:
                tags = {KEY_TAG: run.run_key, "kind": run.kind, "code_version": run.code_version}
                entry = self._client.create_run(experiment_id, run_name=run.kind, tags=tags)
                self._run_id = entry.info.run_id
                self._send_parameters(run)
            known = self._last_step(earlier)
            for measured in earlier:
                if measured.step > known:
                    self._send(measured)
        except self._failure as error:
            raise Unavailable(f"MLflow at {self._uri} does not take the run: {error}") from error

    def add(self, measured: MeasuredStep) -> None:
        """Send a point; one that MLflow does not take is logged and left out."""
        try:
            self._send(measured)
        except self._failure as error:
            log.warning("The training goes on, but MLflow did not take step %d: %s", measured.step, error)

    def finish(self, outcome: RunOutcome) -> None:
        """Close the entry, with the final scores as metrics and the weights' hash as a tag.

        Raises:
            Unavailable: the server does not answer.
        """
        try:
            numbers = {f"final.{name}": value for name, value in _flat(outcome.scores) if _is_number(value)}
            self._send(MeasuredStep(step=0, values=numbers))
            if outcome.weights is not None:
                self._client.set_tag(self._run_id, "weights", str(outcome.weights))
                self._client.set_tag(self._run_id, "weights_sha256", outcome.weights_sha256())
            with redirect_stdout(sys.stderr):  # MLflow prints addresses among the results
                self._client.set_terminated(self._run_id, STATUSES[outcome.status])
        except self._failure as error:
            raise Unavailable(f"MLflow at {self._uri} does not take the end of the run: {error}") from error

    def _send_parameters(self, run: TrainingRunStart) -> None:
        described: dict[str, Any] = {
            "num_steps": run.num_steps,
            "seed": run.seed,
            "settings": run.settings,
            "machine": run.machine,
            "data": {str(number): f"{file.path} {file.sha256}" for number, file in enumerate(run.data_files)},
        }
        for name, value in _flat(described):
            self._client.log_param(self._run_id, name, value)

    def _send(self, measured: MeasuredStep) -> None:
        now = time.time_ns() // 1_000_000
        metrics = [
            self._mlflow.entities.Metric(name, value, now, measured.step) for name, value in measured.values.items()
        ]
        if metrics:
            self._client.log_batch(self._run_id, metrics=metrics)

    def _last_step(self, earlier: Sequence[MeasuredStep]) -> int:
        names = {name for measured in earlier for name in measured.values}
        histories = [self._client.get_metric_history(self._run_id, name) for name in sorted(names)]
        return max((metric.step for history in histories for metric in history), default=-1)


def _import_mlflow() -> Any:
    try:
        mlflow = importlib.import_module("mlflow")
        for name in ("entities", "exceptions", "environment_variables", "telemetry"):
            importlib.import_module(f"mlflow.{name}")
    except ImportError as error:
        raise InvalidInput("MLflow needs the Python package mlflow-skinny; install grounded-rag[mlflow].") from error
    # MLflow tells its makers how it is used, unless told not to. Nothing here talks to anyone but the given server.
    mlflow.environment_variables.MLFLOW_DISABLE_TELEMETRY.set(True)
    mlflow.telemetry.set_telemetry_client()
    return mlflow


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values under dotted names."""
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
