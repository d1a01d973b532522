"""A small training run, slow enough to be killed in the middle: python small_run.py FOLDER [SECONDS_PER_STEP]"""

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rag.training.schedule import Schedule
from rag.training.text_batches import TextBatches, TokenBatch, text_batches
from rag.training.text_objectives import causal_language_modelling
from rag.training.trainer import Trainer
from rag.training.trainer_config import TrainerConfig

CONFIG = TrainerConfig(
    num_steps=150,
    peak_rate=1e-2,
    schedule=Schedule(num_warmup=10),
    report_every=7,
    validate_every=20,
    checkpoint_every=30,
)
TEXTS = [
    [0, *[2 + (start + step * place) % 9 for place in range(4 + step)], 1] for start in range(9) for step in (1, 2, 4)
]


class PairModel(nn.Module):
    """Predicts from the last two tokens. It has dropout, so that every step draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.mix = nn.Linear(32, 16)
        self.dropout = nn.Dropout(0.1)
        self.output = nn.Linear(16, 11)

    def forward(self, ids_BT: Tensor) -> Tensor:
        x_BTD = self.embedding(ids_BT)
        before_BTD = F.pad(x_BTD, (0, 0, 1, 0))[:, :-1]
        y_BTD = self.dropout(torch.relu(self.mix(torch.cat([x_BTD, before_BTD], dim=-1))))
        logits_BTV: Tensor = self.output(y_BTD)
        return logits_BTV


class SlowBatches(TextBatches):
    """Batches that take their time."""

    seconds = 0.0

    def batch(self, step: int) -> TokenBatch:
        time.sleep(self.seconds)
        return super().batch(step)


def new_trainer(folder: Path, config: TrainerConfig = CONFIG) -> Trainer[PairModel, TokenBatch]:
    """The run in a folder, before its first step."""
    torch.manual_seed(3)
    return Trainer(
        PairModel(),
        causal_language_modelling,
        SlowBatches(TEXTS[:-6], batch_size=8, seed=config.seed, pad_id=1),
        config=config,
        folder=folder,
        validation=text_batches(TEXTS[-6:], batch_size=4, pad_id=1),
        identity={"data": "three ways to count"},
    )


if __name__ == "__main__":
    SlowBatches.seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    run = new_trainer(Path(sys.argv[1]))
    run.resume()
    run.run()
