"""The passages that a search may find, as a mask over passage ids: made once, asked by both legs."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class AllowedIds:
    """A set of passage ids. Make one with ``of_ids``, or with ``of_mask`` where masks are at hand to be combined.

    A mask costs a byte for each id up to the largest, and asking it about a million passages about a millisecond; a
    sorted array or a hash set of ids takes many times that.
    """

    mask: NDArray[np.bool_]
    """Whether passage ``i`` is allowed; its last element is False and stands for all ids beyond."""

    count: int
    """How many ids are allowed."""

    @classmethod
    def of_ids(cls, ids: NDArray[np.int64]) -> Self:
        """Exactly these ids, in any order.

        Raises:
            ValueError: an id is negative.
        """
        if len(ids) and ids.min() < 0:
            raise ValueError("passage ids are not negative")
        mask = np.zeros(int(ids.max(initial=-1)) + 2, dtype=np.bool_)
        mask[ids] = True
        return cls(mask, int(np.count_nonzero(mask)))

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Self:
        """The ids ``i`` for which ``mask[i]`` is true."""
        return cls(np.append(mask, False), int(np.count_nonzero(mask)))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The allowed ids, ascending."""
        return np.flatnonzero(self.mask)

    def contain(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of ``ids`` (any shape) is allowed; -1, which stands for no passage, never is."""
        # -1 and everything beyond the mask lead to its last element.
        allowed: NDArray[np.bool_] = self.mask[np.minimum(ids, len(self.mask) - 1)]
        return allowed
