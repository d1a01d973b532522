"""Blanks for masked language modelling (Devlin et al., 2019, section 3.1 and appendix A.1).

Shapes as in ``text_batches.py``.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rag.errors import InvalidInput
from rag.training.seeds import derive_seed
from rag.training.text_batches import MaskedBatch, TokenBatch
from rag.training.training_objective import BatchSource

MASKED, RANDOM = 0.8, 0.1
"""Of the chosen tokens: the share that becomes the mask, and the share that becomes any other token. The rest stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """How blanks are made: ``share`` of each text's tokens are chosen, at least one; special tokens never are.

    Raises:
        InvalidInput: ``share`` is not between 0 and 1, or all tokens are special.
    """

    mask_id: int
    vocabulary: int
    special_ids: Collection[int]
    share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InvalidInput(f"share must lie between 0 and 1, not at {self.share}.")
        if not len(self._ordinary_ids()):
            raise InvalidInput("All tokens of the vocabulary are special; none is left to be masked.")

    def _ordinary_ids(self) -> Tensor:
        return torch.tensor(sorted(set(range(self.vocabulary)) - set(self.special_ids)))

    def apply(self, batch: TokenBatch, *, seed: int) -> MaskedBatch:
        """The batch with blanks; the same seed makes the same ones.

        Raises:
            InvalidInput: a text consists of special tokens only.
        """
        generator = torch.Generator().manual_seed(seed)
        ids_BT, ordinary_N = batch.ids_BT, self._ordinary_ids()
        ordinary_BT = batch.valid_BT & torch.isin(ids_BT, ordinary_N)
        num_B = ordinary_BT.sum(dim=1)
        if not bool((num_B > 0).all()):
            raise InvalidInput(
                "A text consists of special tokens only, so that nothing in it can be masked; remove it."
            )
        # Chosen are the first of a random order in which what must not be chosen stands last.
        order_BT = torch.rand(ids_BT.shape, generator=generator).masked_fill(~ordinary_BT, 2.0)
        rank_BT = order_BT.argsort(dim=1).argsort(dim=1)
        chosen_BT = rank_BT < (num_B * self.share).round().clamp(min=1)[:, None]
        fate_BT = torch.rand(ids_BT.shape, generator=generator)
        random_BT = ordinary_N[torch.randint(len(ordinary_N), ids_BT.shape, generator=generator)]
        masked_BT = torch.where(chosen_BT & (fate_BT < MASKED), self.mask_id, ids_BT)
        replaced_BT = chosen_BT & (fate_BT >= MASKED) & (fate_BT < MASKED + RANDOM)
        return MaskedBatch(torch.where(replaced_BT, random_BT, masked_BT), batch.valid_BT, chosen_BT, ids_BT)


class MaskedBatches:
    """The batches of another source with blanks in them, new ones each time that a text comes round."""

    def __init__(self, source: BatchSource[TokenBatch], masking: Masking, *, seed: int) -> None:
        self._source, self._masking, self._seed = source, masking, seed

    def batch(self, step: int) -> MaskedBatch:
        """The batch of a step."""
        return self._masking.apply(self._source.batch(step), seed=derive_seed(self._seed, "masking", step))
