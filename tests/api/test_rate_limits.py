"""Token buckets: a burst passes, then requests are let through evenly."""

import threading

import pytest

from rag.api.rate_limits import TokenBuckets


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_requests_of_a_minute_pass_at_once_and_the_next_waits_for_its_turn() -> None:
    clock = Clock()
    buckets = TokenBuckets(clock)
    assert [buckets.take("a", per_minute=3) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a", per_minute=3) == pytest.approx(20)
    clock.now += 5
    assert buckets.take("a", per_minute=3) == pytest.approx(15)
    clock.now += 15
    assert buckets.take("a", per_minute=3) == 0
    assert buckets.take("a", per_minute=3) > 0


def test_waiting_longer_than_a_minute_gives_no_more_than_a_minute_of_requests() -> None:
    clock = Clock()
    buckets = TokenBuckets(clock)
    buckets.take("a", per_minute=2)
    clock.now += 3600
    assert [buckets.take("a", per_minute=2) > 0 for _ in range(3)] == [False, False, True]


def test_callers_do_not_take_from_each_other() -> None:
    buckets = TokenBuckets(Clock())
    assert buckets.take("a", per_minute=1) == 0
    assert buckets.take("b", per_minute=1) == 0
    assert buckets.take("a", per_minute=1) > 0


def test_threads_together_get_no_more_than_there_is() -> None:
    buckets, passed = TokenBuckets(Clock()), list[bool]()

    def take() -> None:
        passed.extend(buckets.take("a", per_minute=100) == 0 for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(passed) == 100
