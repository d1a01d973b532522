"""Training any model on any objective: mixed precision, accumulation, checkpoints, and exact resume after a kill.

Knows nothing of text or tasks. Everything random is a function of (seed, step), so a run that was killed and resumed
takes the same steps as one that was not.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic

import torch

from rag.errors import InvalidInput
from rag.training.seeds import derive_seed
from rag.training.trainer_checkpoint import BEST, LAST, load_checkpoint, save_checkpoint
from rag.training.trainer_config import TrainerConfig, new_optimizer, scale_and_clip
from rag.training.training_log import CurvePoint, TrainingLog
from rag.training.training_objective import (
    BatchSource,
    BatchT,
    LossSums,
    ModelT,
    TrainingObjective,
    autocast,
    device_of,
    evaluate,
)

LAST_KEYS = ("step", "config", "identity", "model", "optimizer", "recent", "norms", "best_loss", "elapsed_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerProgress:
    """Reported with each point of the curve. Speed and time left are those of the steps since the last one."""

    point: CurvePoint
    num_steps: int
    examples_per_second: float
    seconds_left: float


class Trainer(Generic[ModelT, BatchT]):
    """One training run in a folder that holds its checkpoints (``last.pt``, ``best.pt``) and its curve (``log.jsonl``).

    ``best.pt`` has the weights with the lowest validation loss so far; without validation data there is none.
    """

    def __init__(
        self,
        model: ModelT,
        objective: TrainingObjective[ModelT, BatchT],
        source: BatchSource[BatchT],
        *,
        config: TrainerConfig,
        folder: Path,
        validation: Sequence[BatchT] = (),
        identity: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a run; nothing is read or written yet.

        ``identity`` is what must be the same when a run is resumed, beside ``config``: the data's SHA-256, say.
        """
        self.config, self.folder = config, folder
        self.log = TrainingLog(folder / "log.jsonl")
        self.step = 0
        self._model, self._objective, self._source, self._validation = model, objective, source, validation
        self._identity = dict(identity or {})
        self._device = device_of(model)
        self._optimizer = new_optimizer(model, config)
        # Since the last point of the curve. Checkpoints keep them, so that points come out the same after a resume.
        self._recent, self._norms = LossSums(), list[float]()
        self._best_loss = math.inf
        self._elapsed_s = 0.0

    def resume(self) -> int:
        """Go on from the folder's last checkpoint, or from the beginning if there is none; returns the step.

        Raises:
            InvalidInput: the checkpoint belongs to a run with other settings or another model. Only ``num_steps`` may
                differ, and only while the learning rates of the steps already taken do not depend on it.
            ModelError: the checkpoint is damaged.
        """
        path = self.folder / LAST
        if path.is_file():
            saved = load_checkpoint(path, keys=LAST_KEYS, device=self._device)
            self._require_same_run(saved)
            try:
                self._model.load_state_dict(saved["model"])
                self._optimizer.load_state_dict(saved["optimizer"])
            except (RuntimeError, ValueError) as error:
                raise InvalidInput(f"{self.folder} holds a run of another model; choose another folder.") from error
            self._recent, self._norms = LossSums(**saved["recent"]), saved["norms"]
            self.step, self._best_loss, self._elapsed_s = saved["step"], saved["best_loss"], saved["elapsed_s"]
        self.log.rewind(self.step)
        return self.step

    def run(self, on_progress: Callable[[TrainerProgress], None] | None = None) -> None:
        """Train to the end, from the current step.

        Raises:
            InvalidInput: a loss or a gradient is not a finite number, or a checkpoint cannot be written. The last
                checkpoint stays as it is.
        """
        config = self.config
        self.folder.mkdir(parents=True, exist_ok=True)
        self._model.train()
        speed = _Speed()
        # Dropout draws from the global generator. In the end the caller has it back as it was.
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            while self.step < config.num_steps:
                began = time.perf_counter()
                num_examples = self._take_step()
                speed.add(num_examples, time.perf_counter() - began)
                self.step += 1
                if self._is_due(config.report_every) or self._is_due(config.validate_every):
                    self._elapsed_s += speed.seconds
                    point = self._measure()
                    self.log.append(point)
                    if on_progress is not None:
                        on_progress(speed.progress(point, config.num_steps))
                    speed = _Speed()
                if self._is_due(config.checkpoint_every):
                    self._save_last(self._elapsed_s + speed.seconds)

    def load_best(self) -> int:
        """Put the weights with the lowest validation loss into the model; returns the step that they are from.

        Raises:
            InvalidInput: there are none: the run has no validation data, or has not come that far.
            ModelError: the checkpoint is damaged.
        """
        path = self.folder / BEST
        if not path.is_file():
            raise InvalidInput(f"{self.folder} holds no {BEST}; train with validation data first.")
        saved = load_checkpoint(path, keys=("step", "model"), device=self._device)
        self._model.load_state_dict(saved["model"])
        step: int = saved["step"]
        return step

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.num_steps

    def _take_step(self) -> int:
        """One step of the optimiser; returns the number of examples."""
        config = self.config
        torch.manual_seed(derive_seed(config.seed, "dropout", self.step))
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate_at(self.step) * group["scale"]
        self._optimizer.zero_grad(set_to_none=True)
        batch, sums = self._source.batch(self.step), LossSums()
        for part in batch.split(config.num_parts):
            with autocast(self._device, config.dtype):
                loss = self._objective(self._model, part.to(self._device))
            loss.total.backward()  # type: ignore[no-untyped-call]
            sums.add(loss)
        self._require_finite("loss", sums.means()["loss"], self.step + 1)
        norm = scale_and_clip(self._model, num_targets=sums.num_targets, clip_norm=config.clip_norm)
        self._require_finite("norm of the gradients", norm, self.step + 1)
        self._optimizer.step()
        self._recent.merge(sums)
        self._norms.append(norm)
        return len(batch)

    def _rate_at(self, step: int) -> float:
        return self.config.peak_rate * self.config.schedule.share_at(step, self.config.num_steps)

    def _require_finite(self, what: str, value: float, step: int) -> None:
        if math.isfinite(value):
            return
        last = self.folder / LAST
        kept = f"{last} is the last good checkpoint" if last.is_file() else "no checkpoint was written yet"
        raise InvalidInput(
            f"The {what} at step {step} is {value}: lower peak_rate, raise num_warmup or look at the data; {kept}."
        )

    def _measure(self) -> CurvePoint:
        """Close the current stretch of the curve, and validate when it is time; a new best is saved at once."""
        metrics = self._recent.means()
        loss = metrics.pop("loss")
        validation: dict[str, float] = {}
        if self._validation and self._is_due(self.config.validate_every):
            validation = evaluate(self._model, self._objective, self._validation, dtype=self.config.dtype)
            self._require_finite("validation loss", validation["loss"], self.step)
            if validation["loss"] < self._best_loss:
                self._best_loss = validation["loss"]
                best = {"step": self.step, "validation_loss": self._best_loss, "model": self._model.state_dict()}
                save_checkpoint(self.folder / BEST, best)
        point = CurvePoint(
            step=self.step,
            loss=loss,
            learning_rate=self._rate_at(self.step - 1),
            gradient_norm=sum(self._norms) / len(self._norms),
            elapsed_s=self._elapsed_s,
            metrics=metrics,
            validation=validation,
        )
        self._recent, self._norms = LossSums(), []
        return point

    def _save_last(self, elapsed_s: float) -> None:
        save_checkpoint(
            self.folder / LAST,
            {
                "step": self.step,
                "config": asdict(self.config),
                "identity": self._identity,
                "model": self._model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "recent": asdict(self._recent),
                "norms": self._norms,
                "best_loss": self._best_loss,
                "elapsed_s": elapsed_s,
            },
        )

    def _require_same_run(self, saved: Mapping[str, Any]) -> None:
        mine, theirs = asdict(self.config), dict(saved["config"])
        num_steps = theirs.pop("num_steps")
        share_at = self.config.schedule.share_at
        same_rates = all(
            share_at(step, num_steps) == share_at(step, mine["num_steps"]) for step in range(saved["step"])
        )
        del mine["num_steps"]
        differing = [name for name, value in mine.items() if theirs.get(name) != value]
        differing += [] if same_rates else ["num_steps"]
        differing += [name for name, value in self._identity.items() if saved["identity"].get(name) != value]
        if differing:
            raise InvalidInput(
                f"{self.folder} holds a run with another {', '.join(differing)}; choose another folder or the same "
                "settings."
            )


@dataclass(slots=True)
class _Speed:
    """How fast the steps since the last point were."""

    num_steps: int = 0
    num_examples: int = 0
    seconds: float = 0.0

    def add(self, num_examples: int, seconds: float) -> None:
        self.num_steps, self.num_examples = self.num_steps + 1, self.num_examples + num_examples
        self.seconds += seconds

    def progress(self, point: CurvePoint, num_steps: int) -> TrainerProgress:
        return TrainerProgress(
            point=point,
            num_steps=num_steps,
            examples_per_second=self.num_examples / self.seconds,
            seconds_left=self.seconds / self.num_steps * (num_steps - point.step),
        )
