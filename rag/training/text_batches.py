"""Batches of token ids, as training takes them: a function of (seed, step), whatever was asked before.

Letters: B examples, T positions, S positions of a source text. Knows nothing of models. Padding stands on the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from rag.errors import InvalidInput
from rag.training.seeds import derive_seed

LENGTH_STEP = 8
"""Lengths are rounded up to a multiple of it, because kernels prepare themselves anew for every shape they meet."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Tensors whose first dimension is B."""

    def __len__(self) -> int:
        return len(self._tensors()[0])

    def _tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]

    def split(self, num_parts: int) -> list[Self]:
        """At most so many smaller batches, the same rows in the same order."""
        size = -(-len(self) // num_parts)
        starts = range(0, len(self), size)
        return [type(self)(*(x[start : start + size] for x in self._tensors())) for start in starts]

    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        return type(self)(*(x.to(device) for x in self._tensors()))


@dataclass(frozen=True, slots=True)
class TokenBatch(_Rows):
    """Texts: ``ids_BT``, and ``valid_BT``, true where there is no padding."""

    ids_BT: Tensor
    valid_BT: Tensor


@dataclass(frozen=True, slots=True)
class MaskedBatch(_Rows):
    """Texts with blanks: ``chosen_BT`` is true at the tokens to be found, which are ``targets_BT`` there."""

    ids_BT: Tensor
    valid_BT: Tensor
    chosen_BT: Tensor
    targets_BT: Tensor


@dataclass(frozen=True, slots=True)
class PairBatch(_Rows):
    """Pairs of texts: the source, and the target with a start token before it and an end token after it."""

    source_BS: Tensor
    source_valid_BS: Tensor
    target_BT: Tensor
    target_valid_BT: Tensor


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Sequences as one (B, T) tensor of ids, and a boolean one that is true where there is no padding.

    Raises:
        InvalidInput: there is no sequence, or one is empty.
    """
    if not sequences or not all(sequences):
        raise InvalidInput("A batch needs at least one text, and no text may be empty.")
    longest = max(map(len, sequences))
    T = -(-longest // LENGTH_STEP) * LENGTH_STEP
    lengths_B1 = torch.tensor([len(sequence) for sequence in sequences])[:, None]
    ids_BT = torch.tensor([[*sequence, *[pad_id] * (T - len(sequence))] for sequence in sequences])
    return ids_BT, torch.arange(T)[None] < lengths_B1


class EpochOrder:
    """Which examples each step takes: every epoch all of them once, in an order of its own.

    What is left over at the end of an epoch is left out, so that all batches are of one size.
    """

    def __init__(self, num_examples: int, batch_size: int, *, seed: int) -> None:
        """Raises InvalidInput: there are fewer examples than a batch takes."""
        if num_examples < batch_size:
            raise InvalidInput(
                f"{num_examples} examples are too few for a batch of {batch_size}; lower the batch size."
            )
        self._num_examples, self._batch_size, self._seed = num_examples, batch_size, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def indices(self, step: int) -> list[int]:
        """The examples of a step, counted from 0."""
        epoch, place = divmod(step, self._num_examples // self._batch_size)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            self._epoch, self._order = epoch, torch.randperm(self._num_examples, generator=generator)
        chosen: list[int] = self._order[place * self._batch_size : (place + 1) * self._batch_size].tolist()
        return chosen


class TextBatches:
    """Short texts, each an example of its own, such as names with their start and end tokens."""

    def __init__(self, texts: Sequence[Sequence[int]], *, batch_size: int, seed: int, pad_id: int) -> None:
        """Raises InvalidInput: there are fewer texts than a batch takes."""
        self._texts, self._pad_id = texts, pad_id
        self._order = EpochOrder(len(texts), batch_size, seed=seed)

    def batch(self, step: int) -> TokenBatch:
        """The batch of a step."""
        return TokenBatch(*pad([self._texts[i] for i in self._order.indices(step)], self._pad_id))


class WindowBatches:
    """One long text, of which each example is a window that begins anywhere."""

    def __init__(self, ids: Sequence[int], *, length: int, batch_size: int, seed: int) -> None:
        """Raises InvalidInput: the text is shorter than a window of ``length`` tokens."""
        if len(ids) < length:
            raise InvalidInput(
                f"The text has {len(ids)} tokens, fewer than a window of {length}; add text or shorten it."
            )
        self._ids_N, self._length, self._batch_size, self._seed = torch.tensor(ids), length, batch_size, seed

    def batch(self, step: int) -> TokenBatch:
        """The batch of a step."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "windows", step))
        num_places = len(self._ids_N) - self._length + 1
        starts_B = torch.randint(num_places, (self._batch_size,), generator=generator)
        ids_BT = self._ids_N[starts_B[:, None] + torch.arange(self._length)]
        return TokenBatch(ids_BT, torch.ones_like(ids_BT, dtype=torch.bool))


class PairBatches:
    """Pairs of a source and a target text, as token ids; the target has its start and end token."""

    def __init__(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, batch_size: int, seed: int, pad_id: int
    ) -> None:
        """Raises InvalidInput: there are fewer pairs than a batch takes."""
        self._pairs, self._pad_id = pairs, pad_id
        self._order = EpochOrder(len(pairs), batch_size, seed=seed)

    def batch(self, step: int) -> PairBatch:
        """The batch of a step."""
        return pair_batch([self._pairs[i] for i in self._order.indices(step)], self._pad_id)


def pair_batch(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], pad_id: int) -> PairBatch:
    """Pairs of source and target ids as one batch.

    Raises:
        InvalidInput: there is no pair, or a text is empty.
    """
    return PairBatch(*pad([source for source, _ in pairs], pad_id), *pad([target for _, target in pairs], pad_id))


def text_batches(texts: Sequence[Sequence[int]], *, batch_size: int, pad_id: int) -> list[TokenBatch]:
    """All texts once, in their order: what validation takes. The last batch may be smaller.

    Raises:
        InvalidInput: a text is empty.
    """
    return [TokenBatch(*pad(texts[start : start + batch_size], pad_id)) for start in range(0, len(texts), batch_size)]
