"""Work that is not wanted any more ends, wherever it waits."""

import threading
import time

import pytest

from rag.cancellation import Cancellation
from rag.errors import Cancelled


def test_check_raises_once_cancelled() -> None:
    cancellation = Cancellation()
    cancellation.check()
    assert not cancellation.is_cancelled
    cancellation.cancel()
    assert cancellation.is_cancelled
    with pytest.raises(Cancelled):
        cancellation.check()


def test_action_is_called_when_cancelled_meanwhile_and_not_afterwards() -> None:
    cancellation, called = Cancellation(), []
    with cancellation.interrupting(lambda: called.append("before")):
        pass
    with cancellation.interrupting(lambda: called.append("meanwhile")):
        cancellation.cancel()
    assert called == ["meanwhile"]


def test_work_that_is_cancelled_already_does_not_begin() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled), cancellation.interrupting(lambda: None):
        pytest.fail("it began")


def test_waiting_for_a_lock_ends_when_cancelled_and_leaves_the_lock_to_others() -> None:
    cancellation, lock = Cancellation(), threading.Lock()
    lock.acquire()
    threading.Timer(0.1, cancellation.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled), cancellation.holding(lock):
        pytest.fail("it was not free")
    assert time.monotonic() - started < 1
    lock.release()
    with Cancellation().holding(lock):
        assert lock.locked()
    assert not lock.locked()
