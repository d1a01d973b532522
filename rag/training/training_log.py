"""The loss curve of a run, as lines of JSON beside its checkpoints: ``log.jsonl``.

It survives a kill at any moment: a line that was cut short is left out, and a resumed run first drops the points after
its checkpoint, which it is about to compute again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rag.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What was measured at one step.

    ``step`` counts the steps taken so far. ``loss`` and ``metrics`` are means over the targets since the last point,
    ``gradient_norm`` the mean norm before clipping, ``learning_rate`` the rate of the last step, ``validation``
    what the validation data gave, empty where it was not run. All but ``elapsed_s``, the seconds spent training,
    is the same in every run with the same seed on the same machine.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    elapsed_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """Everything measured, flat: names and numbers. Those of the validation data begin with ``validation_``."""
        return {
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "gradient_norm": self.gradient_norm,
            "elapsed_s": self.elapsed_s,
            **self.metrics,
            **{f"validation_{name}": value for name, value in self.validation.items()},
        }


class TrainingLog:
    """The points of one run in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[CurvePoint]:
        """All points in order; none if there is no file.

        Raises:
            InvalidInput: the file is something else than such a log.
        """
        if not self.path.is_file():
            return []
        *lines, cut = self.path.read_text(encoding="utf-8").split("\n")
        del cut  # empty, or what a killed process had begun to write
        try:
            return [CurvePoint(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"{self.path} is not a training log; choose another folder.") from error

    def append(self, point: CurvePoint) -> None:
        """Add a point at the end, on the disk before a checkpoint is that comes after it."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(point)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rewind(self, step: int) -> list[CurvePoint]:
        """Drop the points after ``step``, and return those that stay."""
        points = [point for point in self.read() if point.step <= step]
        if self.path.is_file():
            temporary = self.path.with_suffix(".tmp")
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(point)) + "\n" for point in points)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        return points
