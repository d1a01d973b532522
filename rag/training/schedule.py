"""Learning rate schedules: a linear warm-up, then one of three ways down."""

import math
from dataclasses import dataclass
from typing import Literal

from rag.errors import InvalidInput

Decay = Literal["cosine", "linear", "warmup_stable_decay"]
DECAYS: tuple[Decay, ...] = ("cosine", "linear", "warmup_stable_decay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The learning rate of each step, as a share of its peak.

    ``cosine`` (Loshchilov and Hutter, 2017, without restarts) and ``linear`` fall from the end of the warm-up on.
    ``warmup_stable_decay`` (Hu et al., 2024, MiniCPM) stays at the peak and falls linearly over the last
    ``decay_share`` of the steps: until then no step depends on how many there will be, so a run can still be made
    longer. All of them end at ``final_share``.

    Raises:
        InvalidInput: a value is out of its range; the message names it.
    """

    decay: Decay = "cosine"
    num_warmup: int = 100
    decay_share: float = 0.2
    final_share: float = 0.0

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise InvalidInput(f"decay must be one of {', '.join(DECAYS)}, not {self.decay!r}.")
        if self.num_warmup < 0:
            raise InvalidInput(f"num_warmup must not be negative, as {self.num_warmup} is.")
        for name in ("decay_share", "final_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(f"{name} must lie between 0 and 1, not at {getattr(self, name)}.")

    def share_at(self, step: int, num_steps: int) -> float:
        """The share of the peak rate at ``step``, which counts from 0; it is above 0 even at the first one."""
        warm = min(1.0, (step + 1) / (self.num_warmup + 1))
        return warm * (self.final_share + (1 - self.final_share) * self._height(step, num_steps))

    def _height(self, step: int, num_steps: int) -> float:
        """How much of the way down is left, from 1 to 0."""
        num_decay = self.decay_share * num_steps if self.decay == "warmup_stable_decay" else num_steps - self.num_warmup
        left = max(0.0, min(1.0, (num_steps - step) / max(1.0, num_decay)))
        return (1 - math.cos(math.pi * left)) / 2 if self.decay == "cosine" else left
