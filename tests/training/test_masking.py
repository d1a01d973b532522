"""Blanks for masked language modelling."""

import pytest
import torch

from rag.errors import InvalidInput
from rag.training.masking import MaskedBatches, Masking
from rag.training.text_batches import MaskedBatch, TextBatches, TokenBatch, pad

PAD, START, END, MASK = range(4)
MASKING = Masking(mask_id=MASK, vocabulary=50, special_ids={PAD, START, END, MASK})
LONG = [[START, *[4 + (i * j) % 46 for i in range(2_000)], END] for j in range(1, 21)]


def _masked(masking: Masking = MASKING, seed: int = 1) -> MaskedBatch:
    return masking.apply(TokenBatch(*pad(LONG, PAD)), seed=seed)


def test_shares_are_those_of_the_paper() -> None:
    batch = _masked()
    assert batch.chosen_BT.sum(dim=1).tolist() == [300] * 20  # 15% of each text
    given, target = batch.ids_BT[batch.chosen_BT], batch.targets_BT[batch.chosen_BT]
    num = len(given)
    assert float((given == MASK).sum()) / num == pytest.approx(0.8, abs=0.02)
    changed = (given != MASK) & (given != target)
    assert float(changed.sum()) / num == pytest.approx(0.1 * 45 / 46, abs=0.02)
    assert float((given == target).sum()) / num == pytest.approx(0.1 + 0.1 / 46, abs=0.02)
    assert len(given[changed].unique()) == 46  # any ordinary token may stand there
    assert int(given[changed].min()) == 4


def test_what_is_not_chosen_stays_and_special_tokens_are_never_chosen() -> None:
    batch = _masked()
    original_BT, valid_BT = pad(LONG, PAD)
    assert torch.equal(batch.targets_BT, original_BT)
    assert torch.equal(batch.ids_BT[~batch.chosen_BT], original_BT[~batch.chosen_BT])
    assert torch.equal(batch.valid_BT, valid_BT)
    assert int(original_BT[batch.chosen_BT].min()) == 4


def test_every_text_has_a_blank_however_short() -> None:
    batch = MASKING.apply(TokenBatch(*pad([[START, 7, END], [8]], PAD)), seed=1)
    assert batch.chosen_BT.sum(dim=1).tolist() == [1, 1]
    assert batch.targets_BT[batch.chosen_BT].tolist() == [7, 8]


def test_same_seed_makes_the_same_blanks_and_each_step_others() -> None:
    assert torch.equal(_masked().ids_BT, _masked().ids_BT)
    assert not torch.equal(_masked().chosen_BT, _masked(seed=2).chosen_BT)
    source = MaskedBatches(TextBatches(LONG, batch_size=20, seed=1, pad_id=PAD), MASKING, seed=1)
    again = MaskedBatches(TextBatches(LONG, batch_size=20, seed=1, pad_id=PAD), MASKING, seed=1)
    assert torch.equal(source.batch(5).ids_BT, again.batch(5).ids_BT)
    first, second = (source.batch(step) for step in (0, 1))  # each is a whole epoch, in another order
    blanks = [
        {tuple(row[valid].tolist()) for row, valid in zip(batch.ids_BT, batch.valid_BT, strict=True)}
        for batch in (first, second)
    ]
    assert blanks[0].isdisjoint(blanks[1])


def test_what_cannot_be_masked_is_refused() -> None:
    with pytest.raises(InvalidInput, match="special tokens only"):
        MASKING.apply(TokenBatch(*pad([[4, 5], [START, END]], PAD)), seed=1)
    with pytest.raises(InvalidInput, match="share must lie between 0 and 1"):
        Masking(mask_id=0, vocabulary=5, special_ids=(), share=0.0)
    with pytest.raises(InvalidInput, match="All tokens of the vocabulary are special"):
        Masking(mask_id=0, vocabulary=2, special_ids=(0, 1))
