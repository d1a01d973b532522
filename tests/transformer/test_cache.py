import pytest
import torch

from rag.transformer.attention import KeyValue
from rag.transformer.cache import KeyValueCache


def make_cache(batch_size: int = 2, capacity: int = 5) -> KeyValueCache:
    return KeyValueCache(num_layers=2, batch_size=batch_size, num_heads=1, head_width=1, capacity=capacity)


def new(*columns: float, batch_size: int = 2) -> KeyValue:
    """Positions with these keys, the row's number added; values are their negatives."""
    keys = torch.tensor(columns)[None, None, :, None] + torch.arange(batch_size)[:, None, None, None] * 100
    return KeyValue(keys, -keys)


def write(cache: KeyValueCache, *columns: float, valid: torch.Tensor | None = None) -> KeyValue:
    cache.extend(len(columns), valid)
    cache.layers[0].append(new(*columns, batch_size=cache.batch_size))
    return cache.layers[1].append(new(*columns, batch_size=cache.batch_size))


def test_appended_positions_follow_those_before() -> None:
    cache = make_cache()
    write(cache, 1, 2)
    seen = write(cache, 3)
    assert cache.length == 3
    assert seen.key_BHSK[:, 0, :, 0].tolist() == [[1, 2, 3], [101, 102, 103]]
    assert seen.value_BHSK[1, 0, :, 0].tolist() == [-101, -102, -103]


def test_memory_stays_where_it_is() -> None:
    cache = make_cache()
    first, second = write(cache, 1), write(cache, 2, 3)
    assert first.key_BHSK.data_ptr() == second.key_BHSK.data_ptr()


def test_padding_is_remembered_and_new_positions_are_real() -> None:
    cache = make_cache()
    write(cache, 1, 2, valid=torch.tensor([[True, True], [False, True]]))
    write(cache, 3)
    assert cache.padded
    assert cache.valid_BS.tolist() == [[True, True, True], [False, True, True]]


def test_valid_that_is_all_true_is_no_padding() -> None:
    cache = make_cache()
    write(cache, 1, 2, valid=torch.ones(2, 2, dtype=torch.bool))
    assert not cache.padded


def test_truncated_positions_are_written_anew_and_their_padding_forgotten() -> None:
    cache = make_cache()
    write(cache, 1)
    write(cache, 2, 3, valid=torch.tensor([[True, True], [False, True]]))
    cache.truncate(1)
    assert (cache.length, cache.padded) == (1, False)
    assert write(cache, 9).key_BHSK[0, 0, :, 0].tolist() == [1, 9]
    assert cache.valid_BS.all()


@pytest.mark.parametrize("length", [-1, 2])
def test_truncating_to_what_is_not_there_raises(length: int) -> None:
    cache = make_cache()
    write(cache, 1)
    with pytest.raises(ValueError, match="cannot be cut"):
        cache.truncate(length)


@pytest.mark.parametrize("rows", [[1, 0], [0, 0], [1], [1, 0, 1]])
def test_selected_rows_keep_keys_values_and_padding(rows: list[int]) -> None:
    cache = make_cache()
    write(cache, 1, 2, valid=torch.tensor([[True, True], [False, True]]))
    cache.select(torch.tensor(rows))
    assert cache.batch_size == len(rows)
    assert cache.valid_BS[:, 0].tolist() == [row == 0 for row in rows]
    assert cache.padded == (1 in rows)
    cache.extend(1)
    for layer in cache.layers:
        seen = layer.append(new(3, batch_size=len(rows)))
        assert seen.key_BHSK[:, 0, :2, 0].tolist() == [[100 * row + 1, 100 * row + 2] for row in rows]
        assert seen.value_BHSK[:, 0, 2, 0].tolist() == [-3 - 100 * i for i in range(len(rows))]


def test_overfull_cache_raises_and_stays_as_it_was() -> None:
    cache = make_cache(capacity=2)
    write(cache, 1)
    with pytest.raises(ValueError, match="3 positions do not fit into a cache of 2"):
        cache.extend(2)
    assert cache.length == 1
