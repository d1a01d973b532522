"""A text-to-text model with the sources it is to rewrite: what ``rag.transformer.generation`` needs to decode them.

Shapes as in ``sequence_to_sequence.py``.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from rag.transformer.attention import KeyValue
from rag.transformer.cache import KeyValueCache
from rag.transformer.sequence_to_sequence import SequenceToSequence, SequenceToSequenceConfig


class SourceCache:
    """The targets so far and the memory of their sources, row by row."""

    def __init__(self, targets: KeyValueCache, memory: Sequence[KeyValue], valid_BS: Tensor) -> None:
        self.targets, self.memory, self.valid_BS = targets, memory, valid_BS

    @property
    def length(self) -> int:
        """Target tokens read so far."""
        return self.targets.length

    def truncate(self, length: int) -> None:
        """Forget the target tokens from ``length`` on."""
        self.targets.truncate(length)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be taken several times."""
        self.targets.select(rows)
        self.memory = [KeyValue(layer.key_BHSK[rows], layer.value_BHSK[rows]) for layer in self.memory]
        self.valid_BS = self.valid_BS[rows]


class ConditionedModel:
    """One target for each source; prompts are how the targets begin, such as with the start token.

    The sources are read once, when this is made. Any strategy decodes it, and so does guessing ahead, of a single
    source.
    """

    def __init__(self, model: SequenceToSequence, source_BS: Tensor, valid_BS: Tensor) -> None:
        """``valid_BS`` is false at padding. Raises ValueError: a source is longer than the model's positions."""
        self._model, self._valid_BS = model, valid_BS
        with torch.inference_mode():
            self._memory = model.encode(source_BS, valid_BS)

    @property
    def training(self) -> bool:
        """Whether the model is in training mode."""
        return self._model.training

    @property
    def config(self) -> SequenceToSequenceConfig:
        """The model's sizes."""
        return self._model.config

    def parameters(self) -> Iterator[nn.Parameter]:
        """The weights."""
        return self._model.parameters()

    def new_cache(self, batch_size: int, capacity: int) -> SourceCache:
        """An empty cache for the targets. Raises ValueError: there are not as many as sources."""
        if batch_size != len(self._valid_BS):
            raise ValueError(f"{batch_size} targets for {len(self._valid_BS)} sources; each needs its own")
        return SourceCache(self._model.new_cache(batch_size, capacity), self._memory, self._valid_BS)

    def __call__(self, ids_BT: Tensor, *, valid_BT: Tensor | None, cache: SourceCache, last: int) -> Tensor:
        """Logits (B, last, V) of what follows. Raises ValueError: the targets begin with unlike numbers of tokens."""
        if valid_BT is not None:
            raise ValueError("all targets must begin with as many tokens")
        return self._model.decode(ids_BT, cache.memory, cache.valid_BS, cache.targets)[:, -last:]
