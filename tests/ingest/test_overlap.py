"""Items made ahead or side by side: in the same order, errors where they belong, and no thread left behind."""

import threading
import time
from collections.abc import Generator
from contextlib import closing

import pytest

from rag.ingest.overlap import ahead, side_by_side


def _numbers(until: int, made: list[int]) -> Generator[int, None, None]:
    for number in range(until):
        made.append(number)
        yield number


def test_items_come_in_their_order() -> None:
    assert list(ahead(_numbers(100, []), num=3)) == list(range(100))


def test_items_are_made_before_they_are_asked_for_but_not_many() -> None:
    made: list[int] = []
    with closing(ahead(_numbers(100, made), num=2)) as numbers:
        assert next(numbers) == 0
        time.sleep(0.3)
        assert 2 <= len(made) <= 5


def test_error_comes_after_the_items_before_it() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise ValueError("no more")

    numbers = ahead(broken(), num=5)
    assert next(numbers) == 1
    with pytest.raises(ValueError, match="no more"):
        next(numbers)


def test_stopping_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    with closing(ahead(endless(), num=1)) as numbers:
        next(numbers)
    assert closed.is_set()
    assert threading.active_count() == before


def test_one_step_may_stand_on_another() -> None:
    def doubled(made: list[int]) -> Generator[int, None, None]:
        with closing(ahead(_numbers(50, made), num=2)) as numbers:
            for number in numbers:
                yield number * 2

    assert list(ahead(doubled([]), num=1)) == [2 * number for number in range(50)]


def test_work_side_by_side_is_bounded_and_comes_in_order() -> None:
    meeting = threading.Barrier(3, timeout=10)
    made: list[int] = []

    def work(number: int) -> int:
        meeting.wait()  # three are at work at once, or this breaks
        return number * number

    with closing(side_by_side(work, _numbers(9, made), num=3)) as squares:
        assert next(squares) == 0
        assert len(made) == 3
        assert list(squares) == [number * number for number in range(1, 9)]


def test_failed_work_is_told_in_its_turn_and_ends_the_rest() -> None:
    made: list[int] = []

    def work(number: int) -> int:
        if number == 2:
            raise ValueError("not two")
        return number

    done = side_by_side(work, _numbers(100, made), num=2)
    assert [next(done), next(done)] == [0, 1]
    with pytest.raises(ValueError, match="not two"):
        next(done)
    assert len(made) <= 4
