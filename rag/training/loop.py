"""The training loop of the reader: bf16, warm-up and linear decay, checkpoints, and exact resume after a kill.

Everything random is a function of (seed, step), so a run that was killed and resumed does the same steps as one
that was not.
"""

import json
import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rag.errors import InvalidInput
from rag.reader.input_format import ReaderTokenizer
from rag.reader.model import ReaderModel
from rag.training.batches import ReaderBatch, make_batch, plan_batches
from rag.training.examples import ReaderExamples
from rag.training.objective import reader_losses

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a reader is trained. Rates are peaks of the schedule; ``new_rate`` is for everything but the encoder."""

    num_steps: int
    seed: int = 1
    num_questions: int = 24
    num_negatives: int = 10
    num_near_misses: int = 8
    max_answer_tokens: int = 31
    encoder_rate: float = 1e-4
    new_rate: float = 3e-4
    weight_decay: float = 0.01
    num_warmup: int = 150
    decay_share: float = 0.4
    clip_norm: float = 1.0
    checkpoint_every: int = 200
    report_every: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """Reported every ``report_every`` steps; losses are means since the last report."""

    step: int
    num_steps: int
    span: float
    token: float
    position: float
    relevance: float
    questions_per_second: float


def rate_at(step: int, config: TrainingConfig) -> float:
    """The share of the peak rate at a step: linear warm-up, a constant stretch, linear decay to zero.

    The warmup-stable-decay schedule (Hu et al., 2024, MiniCPM): until the decay begins, no step depends on how many
    there will be, so a run can be made longer or shorter.
    """
    decay = max(1.0, config.decay_share * config.num_steps)
    return max(0.0, min(1.0, (step + 1) / config.num_warmup, (config.num_steps - step) / decay))


class ReaderTrainer:
    """One training run in a folder that holds its checkpoint and its log."""

    def __init__(
        self,
        model: ReaderModel,
        tokenizer: ReaderTokenizer,
        examples: ReaderExamples,
        negatives: Sequence[Sequence[int]],
        *,
        config: TrainingConfig,
        folder: Path,
    ) -> None:
        if len(examples.questions) < config.num_questions:
            raise InvalidInput(
                f"{len(examples.questions)} answerable questions are too few: a batch takes {config.num_questions}."
            )
        self._model, self._tokenizer, self._examples, self._negatives = model, tokenizer, examples, negatives
        self._config, self._folder = config, folder
        inside: list[torch.nn.Parameter] = []
        outside: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                (inside if name.startswith("encoder.") else outside).append(parameter)
        self._optimizer = torch.optim.AdamW(
            [{"params": inside, "peak": config.encoder_rate}, {"params": outside, "peak": config.new_rate}],
            lr=0.0,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        self._batches: tuple[int, list[list[int]]] = (-1, [])
        self.step = 0

    @property
    def _checkpoint(self) -> Path:
        return self._folder / "checkpoint.pt"

    def resume(self) -> int:
        """Go on from the folder's checkpoint, if there is one; returns the step.

        Raises:
            InvalidInput: the checkpoint belongs to a run with other settings (``num_steps`` may differ).
        """
        if not self._checkpoint.is_file():
            return 0
        saved = torch.load(self._checkpoint, weights_only=True)
        mine = {name: value for name, value in asdict(self._config).items() if name != "num_steps"}
        theirs = {name: value for name, value in saved["config"].items() if name != "num_steps"}
        if mine != theirs:
            raise InvalidInput(f"{self._folder} holds a run with other settings; choose another folder.")
        self._model.load_state_dict(saved["model"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        return self.step

    def save(self) -> None:
        """Write the checkpoint: complete, or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._checkpoint.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save(
                {
                    "step": self.step,
                    "config": asdict(self._config),
                    "model": self._model.state_dict(),
                    "optimizer": self._optimizer.state_dict(),
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._checkpoint)

    def run(self, on_progress: Callable[[TrainingProgress], None]) -> None:
        """Train to the end, from the current step."""
        config = self._config
        self._model.train()
        sums, since = [0.0] * 4, time.perf_counter()
        while self.step < config.num_steps:
            losses = self._take_step(self._batch(self.step))
            self.step += 1
            sums = [a + b for a, b in zip(sums, losses, strict=True)]
            if self.step % config.report_every == 0 or self.step == config.num_steps:
                num = (self.step - 1) % config.report_every + 1
                now = time.perf_counter()
                span, token, position, relevance = (value / num for value in sums)
                progress = TrainingProgress(
                    step=self.step,
                    num_steps=config.num_steps,
                    span=span,
                    token=token,
                    position=position,
                    relevance=relevance,
                    questions_per_second=num * config.num_questions / (now - since),
                )
                with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(progress)) + "\n")
                on_progress(progress)
                sums, since = [0.0] * 4, now
            if self.step % config.checkpoint_every == 0 or self.step == config.num_steps:
                self.save()

    def _batch(self, step: int) -> ReaderBatch:
        config = self._config
        per_epoch = len(self._examples.questions) // config.num_questions
        epoch = step // per_epoch
        if self._batches[0] != epoch:
            planned = plan_batches(self._examples, num_questions=config.num_questions, seed=config.seed, epoch=epoch)
            self._batches = (epoch, planned)
        return make_batch(
            self._examples,
            self._negatives,
            self._batches[1][step % per_epoch],
            num_negatives=config.num_negatives,
            num_near_misses=config.num_near_misses,
            max_answer_tokens=config.max_answer_tokens,
            rng=random.Random(f"{config.seed}/{step}"),
            tokenizer=self._tokenizer,
        )

    def _take_step(self, batch: ReaderBatch) -> list[float]:
        torch.manual_seed(self._config.seed * 1_000_003 + self.step)  # dropout, too, is a function of the step
        share = rate_at(self.step, self._config)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * share
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = reader_losses(self._model, batch)
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        self._optimizer.step()
        return [float(x.detach()) for x in (losses.span, losses.token, losses.position, losses.relevance)]
