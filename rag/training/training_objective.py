"""What is minimised, over which batches, and how the losses of several batches add up to one.

Knows nothing of text, of models or of optimisers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from rag.errors import InvalidInput

Precision = Literal["float32", "bfloat16"]
ModelT = TypeVar("ModelT", bound=nn.Module)
ModelT_contra = TypeVar("ModelT_contra", bound=nn.Module, contravariant=True)


class Batch(Protocol):
    """A batch of examples; ``len`` counts them."""

    def __len__(self) -> int: ...

    def split(self, num_parts: int) -> Sequence[Self]:
        """The same examples in the same order, in at most so many smaller batches."""
        ...

    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        ...


BatchT = TypeVar("BatchT", bound=Batch)
BatchT_co = TypeVar("BatchT_co", bound=Batch, covariant=True)
BatchT_contra = TypeVar("BatchT_contra", bound=Batch, contravariant=True)


class BatchSource(Protocol[BatchT_co]):
    """Where the batches of a run come from."""

    def batch(self, step: int) -> BatchT_co:
        """The batch of a step. The same step always gives the same batch: exact resume rests on it."""
        ...


@dataclass(frozen=True, slots=True)
class BatchLoss:
    """A loss as a sum over its targets, so that several small batches weigh exactly as one large one.

    ``total`` is a scalar with its graph; ``metrics`` are sums over the same ``num_targets`` targets.
    """

    total: Tensor
    num_targets: int
    metrics: Mapping[str, float] = field(default_factory=dict)


class TrainingObjective(Protocol[ModelT_contra, BatchT_contra]):
    """What is minimised."""

    def __call__(self, model: ModelT_contra, batch: BatchT_contra, /) -> BatchLoss:
        """The loss of a model on a batch, and what else is worth watching."""
        ...


@dataclass(slots=True)
class LossSums:
    """Losses and metrics added up over batches."""

    num_targets: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, loss: BatchLoss) -> None:
        """Add what one batch gave."""
        self.merge(LossSums(loss.num_targets, {"loss": float(loss.total.detach()), **loss.metrics}))

    def merge(self, other: "LossSums") -> None:
        """Add what several batches gave."""
        self.num_targets += other.num_targets
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Means over all targets: ``loss`` first, then the metrics.

        Raises:
            InvalidInput: there were no targets.
        """
        if not self.num_targets:
            raise InvalidInput("The batches hold nothing to predict; look at the data.")
        return {name: value / self.num_targets for name, value in self.sums.items()}


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are."""
    return next(model.parameters()).device


def autocast(device: torch.device, dtype: Precision) -> torch.autocast:
    """Mixed precision: with bfloat16, matrix products are in it while weights and losses stay in float32.

    Its range is that of float32, so losses need no scaling (Micikevicius et al., 2018, do it for float16).
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16")


def evaluate(
    model: ModelT,
    objective: TrainingObjective[ModelT, BatchT],
    batches: Iterable[BatchT],
    *,
    dtype: Precision = "float32",
) -> dict[str, float]:
    """The mean ``loss`` and metrics per target over ``batches``, without dropout or gradients.

    Raises:
        InvalidInput: there are no targets in the batches.
    """
    was_training, device = model.training, device_of(model)
    model.eval()
    sums = LossSums()
    with torch.no_grad(), autocast(device, dtype):
        for batch in batches:
            sums.add(objective(model, batch.to(device)))
    model.train(was_training)
    return sums.means()
