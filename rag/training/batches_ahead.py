"""Batches made by other processes while the model learns from those before: a GPU would wait for them otherwise."""

from collections.abc import Iterator
from typing import Generic

from torch.utils.data import DataLoader, Dataset

from rag.training.training_objective import BatchSource, BatchT

AHEAD = 4
"""Batches that each process keeps ready."""


class _Steps(Dataset[BatchT]):
    """The batches of the steps from ``first`` on, by their distance from it."""

    def __init__(self, source: BatchSource[BatchT], first: int, num_steps: int) -> None:
        self._source, self._first, self._num_steps = source, first, num_steps

    def __len__(self) -> int:
        return self._num_steps - self._first

    def __getitem__(self, place: int) -> BatchT:
        return self._source.batch(self._first + place)


class BatchesAhead(Generic[BatchT]):
    """The same batches as ``source`` has, step by step: they are a function of the step, whoever makes them."""

    def __init__(self, source: BatchSource[BatchT], *, num_steps: int, num_workers: int) -> None:
        self._source, self._num_steps, self._num_workers = source, num_steps, num_workers
        self._next_step = -1
        self._made: Iterator[BatchT] = iter(())

    def batch(self, step: int) -> BatchT:
        """The batch of a step. Asking for another than the next one starts the processes anew."""
        if step != self._next_step:
            self._made = iter(
                DataLoader(
                    _Steps(self._source, step, self._num_steps),
                    batch_size=None,
                    num_workers=self._num_workers,
                    prefetch_factor=AHEAD,
                )
            )
        self._next_step = step + 1
        return next(self._made)
