"""How a model is trained: the settings of a run, and the optimiser that follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from rag.errors import InvalidInput
from rag.training.schedule import Schedule
from rag.training.training_objective import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerConfig:
    """How a model is trained. ``report_every``, ``validate_every`` and ``checkpoint_every`` count steps.

    ``rate_scales`` gives the parameters whose names begin with a prefix a share of the peak rate. ``num_parts`` is
    how many parts a batch is cut into to save memory. ``weight_decay`` is for matrices alone.

    Raises:
        InvalidInput: a value is out of its range; the message names it.
    """

    num_steps: int
    seed: int = 1
    peak_rate: float = 1e-3
    rate_scales: Mapping[str, float] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    num_parts: int = 1
    dtype: Precision = "float32"
    report_every: int = 50
    validate_every: int = 250
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_parts", "report_every", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("peak_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"{name} must be above 0, not {getattr(self, name)}.")
        if self.dtype not in ("float32", "bfloat16"):
            raise InvalidInput(f"dtype must be float32 or bfloat16, not {self.dtype!r}.")


def new_optimizer(model: nn.Module, config: TrainerConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019). Weight decay is for matrices: shrinking biases and gains only does harm."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((s for prefix, s in config.rate_scales.items() if name.startswith(prefix)), 1.0)
            groups.setdefault((scale, parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "scale": scale, "weight_decay": config.weight_decay if is_matrix else 0.0}
            for (scale, is_matrix), parameters in groups.items()
        ],
        lr=config.peak_rate,
        betas=config.betas,
        fused=next(model.parameters()).is_cuda,
    )


def scale_and_clip(model: nn.Module, *, num_targets: int, clip_norm: float) -> float:
    """Turn gradients of a sum over ``num_targets`` into those of the mean, clip them by their norm, and return it.

    The norm is the one before clipping (Pascanu et al., 2013).
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    torch._foreach_div_(gradients, num_targets)
    return float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm))
