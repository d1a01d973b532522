"""Places for questions in work, the line before them, and the time for an answer."""

import math
import threading
import time
from collections.abc import Callable

import pytest

from rag.answer_queue import AnswerQueue, Deadline
from rag.cancellation import Cancellation
from rag.errors import Busy, Cancelled, TimeLimitExceeded


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it never came to that")


def test_who_finds_all_places_taken_waits_for_one() -> None:
    queue = AnswerQueue(max_concurrent=1, max_waiting=1, max_wait_s=30)
    done: list[str] = []

    def wait() -> None:
        with queue.place():
            done.append("second")

    with queue.place():
        thread = threading.Thread(target=wait)
        thread.start()
        _until(lambda: len(queue._waiting) == 1)
        done.append("first")
    thread.join(10)
    assert done == ["first", "second"]


def test_those_who_wait_come_in_their_order() -> None:
    queue, order = AnswerQueue(max_concurrent=1, max_waiting=5, max_wait_s=30), list[int]()

    def wait(number: int) -> None:
        with queue.place():
            order.append(number)

    threads = []
    with queue.place():
        for number in range(5):
            threads.append(threading.Thread(target=wait, args=(number,)))
            threads[-1].start()
            _until(lambda: len(queue._waiting) == len(threads))
    for thread in threads:
        thread.join(10)
    assert order == list(range(5))


def test_line_that_is_full_refuses_at_once() -> None:
    queue = AnswerQueue(max_concurrent=1, max_waiting=0, max_wait_s=30)
    with queue.place(), pytest.raises(Busy, match="max_concurrent_answers, max_waiting_answers"), queue.place():
        pass


def test_wait_ends_after_its_time_and_leaves_the_line() -> None:
    queue = AnswerQueue(max_concurrent=1, max_waiting=1, max_wait_s=0.05)
    with queue.place():
        for _ in range(2):  # the second finds the line empty again
            with pytest.raises(Busy, match="within 0.05 s.*max_wait_s"), queue.place():
                pass


def test_place_is_given_back_when_its_work_fails() -> None:
    queue = AnswerQueue(max_concurrent=1, max_waiting=0, max_wait_s=0)
    with pytest.raises(ZeroDivisionError), queue.place():
        raise ZeroDivisionError
    with queue.place():
        pass


def test_never_more_are_at_work_than_there_are_places() -> None:
    queue = AnswerQueue(max_concurrent=3, max_waiting=100, max_wait_s=30)
    lock, now, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal now, most
        with queue.place():
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= 1

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (now, most) == (0, 3)
    assert queue._num_free == 3


def test_deadline_lets_steps_begin_until_it_has_passed() -> None:
    Deadline(math.inf).check()
    Deadline(60).check()
    with pytest.raises(TimeLimitExceeded, match="answer_timeout_s"):
        Deadline(0).check()


def test_wait_for_a_lock_ends_with_the_deadline() -> None:
    lock = threading.Lock()
    with lock, pytest.raises(TimeLimitExceeded), Cancellation().holding(lock, also=Deadline(0.02).check):
        pass
    with Cancellation().holding(lock, also=Deadline(60).check):
        assert lock.locked()
    assert not lock.locked()


def test_who_goes_away_leaves_the_line() -> None:
    queue = AnswerQueue(max_concurrent=1, max_waiting=1, max_wait_s=30)
    cancellation, left = Cancellation(), threading.Event()

    def wait() -> None:
        with pytest.raises(Cancelled), queue.place(cancellation):
            pass
        left.set()

    with queue.place():
        thread = threading.Thread(target=wait)
        thread.start()
        _until(lambda: len(queue._waiting) == 1)
        cancellation.cancel()
        assert left.wait(5)
        assert not queue._waiting
    thread.join(5)
    assert queue._num_free == 1
