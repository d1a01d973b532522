import numpy as np
import pytest

from rag.index.allowed_ids import AllowedIds


def test_exactly_the_given_ids_are_allowed() -> None:
    allowed = AllowedIds.of_ids(np.array([7, 0, 3, 7], dtype=np.int64))
    assert allowed.count == 3
    assert allowed.ids.tolist() == [0, 3, 7]
    asked = np.array([[0, 1, 3], [7, 8, 10**15]], dtype=np.int64)
    assert allowed.contain(asked).tolist() == [[True, False, True], [True, False, False]]


def test_minus_one_stands_for_no_passage_and_is_never_allowed() -> None:
    for ids in ([], [0], [0, 1, 2]):
        allowed = AllowedIds.of_ids(np.array(ids, dtype=np.int64))
        assert not allowed.contain(np.array([-1])).any()


def test_mask_and_ids_make_the_same() -> None:
    mask = np.random.default_rng(0).random(50) < 0.3
    of_mask, of_ids = AllowedIds.of_mask(mask), AllowedIds.of_ids(np.flatnonzero(mask))
    everything = np.arange(-1, 60)
    assert of_mask.contain(everything).tolist() == of_ids.contain(everything).tolist()
    assert of_mask.count == of_ids.count == np.count_nonzero(mask)


def test_negative_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        AllowedIds.of_ids(np.array([3, -2], dtype=np.int64))
