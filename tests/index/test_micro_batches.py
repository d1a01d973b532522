"""Calls that come together are run together, and no caller pays for another."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from rag.index.micro_batches import MicroBatches

PATIENCE_S = 20


class Doubling:
    """Doubles numbers; the first batch stays in work until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        if len(self.batches) == 1:
            self.began.set()
            assert self.may_end.wait(PATIENCE_S)
        if -1 in numbers:
            raise ValueError("-1 has no double here")
        return [2 * number for number in numbers]


def _wait_until(batches: MicroBatches[int, int], num: int) -> None:
    """Until so many calls wait for the next batch."""
    for _ in range(PATIENCE_S * 100):
        if len(batches._waiting) == num:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(batches._waiting)} of {num} calls wait")


def test_call_that_comes_alone_runs_alone() -> None:
    doubling = Doubling()
    doubling.may_end.set()
    batches = MicroBatches(doubling, max_batch=4)
    assert [batches(1), batches(2)] == [2, 4]
    assert doubling.batches == [[1], [2]]


def test_what_comes_while_a_batch_runs_makes_up_the_next_ones() -> None:
    doubling = Doubling()
    batches = MicroBatches(doubling, max_batch=4)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(batches, 0)
        assert doubling.began.wait(PATIENCE_S)
        others = {number: pool.submit(batches, number) for number in range(1, 10)}
        _wait_until(batches, 9)
        doubling.may_end.set()
        assert first.result(PATIENCE_S) == 0
        assert all(call.result(PATIENCE_S) == 2 * number for number, call in others.items())
    assert [len(batch) for batch in doubling.batches] == [1, 4, 4, 1]
    assert sorted(number for batch in doubling.batches for number in batch) == list(range(10))


def test_one_callers_bad_item_fails_that_call_alone() -> None:
    doubling = Doubling()
    batches = MicroBatches(doubling, max_batch=4)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batches, 0)
        assert doubling.began.wait(PATIENCE_S)
        bad, *good = [pool.submit(batches, number) for number in (-1, 5, 6)]
        _wait_until(batches, 3)
        doubling.may_end.set()
        with pytest.raises(ValueError, match="no double"):
            bad.result(PATIENCE_S)
        assert [call.result(PATIENCE_S) for call in (first, *good)] == [0, 10, 12]
    assert batches(7) == 14


def test_interrupted_batch_leaves_the_other_callers_to_be_served() -> None:
    interrupted = threading.Event()

    class Interrupted(Doubling):
        def __call__(self, numbers: Sequence[int]) -> list[int]:
            if 1 in numbers and not interrupted.is_set():
                interrupted.set()
                raise KeyboardInterrupt
            return super().__call__(numbers)

    doubling = Interrupted()
    batches = MicroBatches(doubling, max_batch=4)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batches, 0)
        assert doubling.began.wait(PATIENCE_S)
        struck = pool.submit(batches, 1)
        _wait_until(batches, 1)
        others = [pool.submit(batches, number) for number in (2, 3)]
        _wait_until(batches, 3)
        doubling.may_end.set()
        with pytest.raises(KeyboardInterrupt):
            struck.result(PATIENCE_S)
        assert [call.result(PATIENCE_S) for call in (first, *others)] == [0, 4, 6]
