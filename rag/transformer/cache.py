"""The key/value cache of a decoder: room for all positions is made once, and every step writes into it.

Shapes: B batch, T new positions, S positions so far, G key/value heads, K width of a head, C capacity.
"""

import torch
from torch import Tensor

from rag.transformer.attention import KeyValue
from rag.transformer.layer_shape import LayerShape


class LayerCache:
    """One layer's part of a ``KeyValueCache``. Where to write is the cache's to say."""

    def __init__(self, cache: "KeyValueCache", key_BGCK: Tensor, value_BGCK: Tensor) -> None:
        self._cache = cache
        self.key_BGCK = key_BGCK
        self.value_BGCK = value_BGCK

    def append(self, own: KeyValue) -> KeyValue:
        """Write the new positions behind the ones before; views of all so far."""
        start, end = self._cache.start, self._cache.length
        key_BGSK, value_BGSK = self.key_BGCK[:, :, :end], self.value_BGCK[:, :, :end]
        key_BGSK[:, :, start:].copy_(own.key_BHSK)
        value_BGSK[:, :, start:].copy_(own.value_BHSK)
        return KeyValue(key_BGSK, value_BGSK)


class KeyValueCache:
    """Keys and values of all layers for up to ``capacity`` positions.

    All rows are equally long; shorter ones are padded on the left. A model calls ``extend`` once for each forward
    pass and hands ``layers[i]`` to its layer i. It is for inference: gradients do not pass through it.

    Attributes:
        length: positions filled.
        start: where the positions begin that ``extend`` made room for last.
        padded: whether any position is padding; if none is, attention can do without a mask.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        batch_size: int,
        num_heads: int,
        head_width: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        shape = (num_layers, batch_size, num_heads, capacity, head_width)
        self.length = 0
        self.start = 0
        self.padded = False
        self._valid_BC = torch.ones(batch_size, capacity, dtype=torch.bool, device=device)
        self._hold(torch.empty(shape, dtype=dtype, device=device), torch.empty(shape, dtype=dtype, device=device))

    @classmethod
    def for_layers(
        cls, shape: LayerShape, *, num_layers: int, batch_size: int, capacity: int, like: Tensor
    ) -> "KeyValueCache":
        """An empty cache for layers of this shape, of the type and on the device of ``like``."""
        return cls(
            num_layers=num_layers,
            batch_size=batch_size,
            num_heads=shape.key_value_heads,
            head_width=shape.width_of_head,
            capacity=capacity,
            dtype=like.dtype,
            device=like.device,
        )

    def _hold(self, key_LBGCK: Tensor, value_LBGCK: Tensor) -> None:
        self._key_LBGCK, self._value_LBGCK = key_LBGCK, value_LBGCK
        self.layers = [LayerCache(self, k, v) for k, v in zip(key_LBGCK, value_LBGCK, strict=True)]

    @property
    def batch_size(self) -> int:
        """Number of rows."""
        return self._valid_BC.shape[0]

    @property
    def capacity(self) -> int:
        """How many positions there is room for."""
        return self._valid_BC.shape[1]

    @property
    def valid_BS(self) -> Tensor:  # noqa: N802 - tensors carry their shape in their names
        """Boolean (B, length), false at padding."""
        return self._valid_BC[:, : self.length]

    def extend(self, num_new: int, valid_BT: Tensor | None = None) -> None:
        """Make the next ``num_new`` positions the ones to be written; ``valid_BT`` is false where they are padding.

        Raises:
            ValueError: the capacity does not suffice.
        """
        end = self.length + num_new
        if end > self.capacity:
            raise ValueError(f"{end} positions do not fit into a cache of {self.capacity}")
        self.start, self.length = self.length, end
        if valid_BT is not None and not bool(valid_BT.all()):
            self._valid_BC[:, self.start : end] = valid_BT
            self.padded = True
        elif self.padded:
            self._valid_BC[:, self.start : end] = True

    def truncate(self, length: int) -> None:
        """Forget the positions from ``length`` on.

        Raises:
            ValueError: there are not so many.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"a cache of {self.length} positions cannot be cut to {length}")
        self.start = self.length = length
        if self.padded:
            self._valid_BC[:, length:] = True
            self.padded = not bool(self._valid_BC.all())

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be taken several times. ``rows`` is an integer (B').

        As many rows as before are put in place; fewer or more move into memory of their own.
        """
        length = self.length
        self._valid_BC = self._valid_BC[rows]
        self.padded = self.padded and not bool(self._valid_BC.all())
        if len(rows) != self._key_LBGCK.shape[1]:
            shape = (self._key_LBGCK.shape[0], len(rows), *self._key_LBGCK.shape[2:])
            old = self._key_LBGCK, self._value_LBGCK
            self._hold(old[0].new_empty(shape), old[1].new_empty(shape))
        else:
            old = self._key_LBGCK, self._value_LBGCK
        for mine, theirs in zip((self._key_LBGCK, self._value_LBGCK), old, strict=True):
            for layer_BGCK, old_BGCK in zip(mine, theirs, strict=True):
                layer_BGCK[:, :, :length] = old_BGCK[rows, :, :length]
