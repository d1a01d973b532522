"""Places for questions in work, a bounded line before them, and the time that an answer may take."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rag.cancellation import NEVER, POLL_S, Cancellation
from rag.errors import Busy, TimeLimitExceeded


class AnswerQueue:
    """So many questions are in work at once; so many more wait, the first first, each for so long at most."""

    def __init__(self, *, max_concurrent: int, max_waiting: int, max_wait_s: float) -> None:
        self._max_concurrent, self._max_waiting, self._max_wait_s = max_concurrent, max_waiting, max_wait_s
        self._num_free = max_concurrent
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def load(self) -> tuple[int, int]:
        """How many questions are in work, and how many wait."""
        with self._lock:
            return self._max_concurrent - self._num_free, len(self._waiting)

    @contextmanager
    def place(self, cancellation: Cancellation = NEVER) -> Iterator[None]:
        """Hold a place, after a wait where all are taken.

        Raises:
            Cancelled: the answer is not wanted any more.
            Busy: too many wait already, or none became free in time.
        """
        self._enter(cancellation)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, cancellation: Cancellation) -> None:
        with self._lock:
            if self._num_free:  # nobody waits then: a place that becomes free goes to the first who does
                self._num_free -= 1
                return
            if len(self._waiting) >= self._max_waiting:
                raise Busy(
                    "Too many questions are in work; try again in a moment "
                    "(settings: max_concurrent_answers, max_waiting_answers)."
                )
            turn = threading.Event()
            self._waiting.append(turn)
        if self._has_turn(turn, cancellation):
            return
        with self._lock:
            if turn.is_set():  # in the last moment
                return
            self._waiting.remove(turn)
        cancellation.check()
        raise Busy(
            f"No place became free within {self._max_wait_s:g} s; try again in a moment "
            "(settings: max_concurrent_answers, max_wait_s)."
        )

    def _has_turn(self, turn: threading.Event, cancellation: Cancellation) -> bool:
        """Wait for a turn as long as there is time and the answer is wanted."""
        end = time.monotonic() + self._max_wait_s
        while not turn.wait(max(0.0, min(POLL_S, end - time.monotonic()))):
            if cancellation.is_cancelled or time.monotonic() >= end:
                return False
        return True

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._num_free += 1


class Deadline:
    """The moment after which no further step of an answer is begun."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began = seconds, time.monotonic()

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since it was set."""
        return (time.monotonic() - self._began) * 1000

    def check(self) -> None:
        """See whether there is time for another step.

        Raises:
            TimeLimitExceeded: there is not.
        """
        if time.monotonic() >= self._began + self._seconds:
            raise self._passed()

    def _passed(self) -> TimeLimitExceeded:
        return TimeLimitExceeded(
            f"The answer took longer than {self._seconds:g} s and was given up; ask for less (top_k), or raise the "
            "limit (setting: answer_timeout_s)."
        )
