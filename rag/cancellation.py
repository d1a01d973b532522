"""Giving work up because nobody waits for it any more. Knows nothing of what the work is.

Who waits holds the ``Cancellation`` and cancels it; who works looks at it between two steps.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rag.errors import Cancelled

POLL_S = 0.05
"""How often somebody who waits for a lock looks whether the work is still wanted."""


class Cancellation:
    """Whether a piece of work is still wanted. Safe to share between threads; once cancelled, it stays so."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._actions: list[Callable[[], object]] = []

    @property
    def is_cancelled(self) -> bool:
        """Whether the work is not wanted any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Say that the work is not wanted any more, and interrupt what can be interrupted."""
        with self._lock:
            self._cancelled.set()
            actions = list(self._actions)
        for action in actions:
            action()

    def check(self) -> None:
        """Go on only if the work is still wanted.

        Raises:
            Cancelled: it is not.
        """
        if self._cancelled.is_set():
            raise Cancelled("Whoever asked has gone away.")

    @contextmanager
    def interrupting(self, action: Callable[[], object]) -> Iterator[None]:
        """For work that cannot look: ``action`` interrupts it, from the thread that cancels. It may be called twice.

        Raises:
            Cancelled: the work is not wanted any more, on entering.
        """
        with self._lock:
            self._actions.append(action)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._actions.remove(action)

    @contextmanager
    def holding(self, lock: threading.Lock, *, also: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold a lock, waiting for it only as long as the work is wanted and ``also`` raises nothing.

        Raises:
            Cancelled: it is not wanted any more.
        """
        while not lock.acquire(timeout=POLL_S):
            self.check()
            also()
        try:
            yield
        finally:
            lock.release()


NEVER = Cancellation()
"""For work whose caller waits for it in any case. Nobody cancels it."""
