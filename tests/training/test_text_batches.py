"""Batches of token ids."""

import pytest
import torch

from rag.errors import InvalidInput
from rag.training.text_batches import (
    EpochOrder,
    PairBatches,
    TextBatches,
    TokenBatch,
    WindowBatches,
    pad,
    pair_batch,
    text_batches,
)

TEXTS = [list(range(1, 2 + length)) for length in range(12)]


def test_padding_stands_on_the_right_up_to_a_round_length() -> None:
    ids_BT, valid_BT = pad([[5, 6, 7], [5]], pad_id=9)
    assert ids_BT.tolist() == [[5, 6, 7, 9, 9, 9, 9, 9], [5, 9, 9, 9, 9, 9, 9, 9]]
    assert valid_BT.sum(dim=1).tolist() == [3, 1]
    assert pad([[1] * 9], pad_id=0)[0].shape == (1, 16)


def test_every_epoch_takes_all_examples_once_in_its_own_order() -> None:
    order = EpochOrder(12, 4, seed=1)
    epochs = [[i for step in range(3) for i in order.indices(3 * epoch + step)] for epoch in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]
    assert [len(order.indices(step)) for step in range(5)] == [4] * 5


def test_batch_of_a_step_does_not_depend_on_what_was_asked_before() -> None:
    def sources() -> list[TextBatches | WindowBatches | PairBatches]:
        return [
            TextBatches(TEXTS, batch_size=3, seed=1, pad_id=0),
            WindowBatches(range(100), length=5, batch_size=3, seed=1),
            PairBatches([(text, text) for text in TEXTS], batch_size=3, seed=1, pad_id=0),
        ]

    for forward, backward in zip(sources(), sources(), strict=True):
        first = [forward.batch(step) for step in range(9)]
        second = [backward.batch(step) for step in reversed(range(9))][::-1]
        for one, two in zip(first, second, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one._tensors(), two._tensors(), strict=True))
        assert len({str(batch._tensors()[0].tolist()) for batch in first}) > 7


def test_other_seed_gives_another_order() -> None:
    orders = [EpochOrder(12, 12, seed=seed).indices(0) for seed in (1, 2)]
    assert orders[0] != orders[1]


def test_windows_are_stretches_of_the_text() -> None:
    source = WindowBatches(range(20), length=5, batch_size=64, seed=3)
    batch = source.batch(0)
    assert batch.valid_BT.all()
    starts = batch.ids_BT[:, 0]
    assert torch.equal(batch.ids_BT, starts[:, None] + torch.arange(5))
    assert (int(starts.min()), int(starts.max())) == (0, 15)  # the whole text can be met


def test_parts_of_a_batch_are_its_rows_in_order() -> None:
    batch = TokenBatch(*pad(TEXTS, pad_id=0))
    for num_parts, sizes in ((1, [12]), (5, [3, 3, 3, 3]), (7, [2] * 6), (12, [1] * 12), (40, [1] * 12)):
        parts = batch.split(num_parts)
        assert [len(part) for part in parts] == sizes
        assert torch.equal(torch.cat([part.ids_BT for part in parts]), batch.ids_BT)
        assert torch.equal(torch.cat([part.valid_BT for part in parts]), batch.valid_BT)


def test_validation_takes_every_text_once() -> None:
    batches = text_batches(TEXTS, batch_size=5, pad_id=0)
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert [
        row[valid].tolist() for batch in batches for row, valid in zip(batch.ids_BT, batch.valid_BT, strict=True)
    ] == TEXTS


def test_pairs_stay_together() -> None:
    batch = pair_batch([([1], [2, 3]), ([4, 5], [6])], pad_id=0)
    assert [row[valid].tolist() for row, valid in zip(batch.source_BS, batch.source_valid_BS, strict=True)] == [
        [1],
        [4, 5],
    ]
    assert [row[valid].tolist() for row, valid in zip(batch.target_BT, batch.target_valid_BT, strict=True)] == [
        [2, 3],
        [6],
    ]


def test_too_little_data_is_refused() -> None:
    with pytest.raises(InvalidInput, match="12 examples are too few for a batch of 13"):
        TextBatches(TEXTS, batch_size=13, seed=1, pad_id=0)
    with pytest.raises(InvalidInput, match="3 tokens, fewer than a window of 4"):
        WindowBatches([1, 2, 3], length=4, batch_size=1, seed=1)
    with pytest.raises(InvalidInput, match="no text may be empty"):
        pad([[1], []], pad_id=0)
