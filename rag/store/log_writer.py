"""Logging answers over a disk or a server that may take the bytes and never return."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from rag.errors import StoreUnavailable
from rag.records import Answer
from rag.store.database import Database, Session

log = logging.getLogger(__name__)

MIN_LIMIT_S = 5.0
"""However short the waits for a lock are to be: a sound disk under load may take a second to flush."""


class _GivenUp(Exception):
    """Rolls back what nobody waits for any more."""


class LogWriter:
    """Logs each answer in a thread of its own, so that its caller can stop waiting. Safe to share between threads.

    No call of SQLite or of a PostgreSQL driver can be broken off while the disk flushes. So the thread stays with it,
    and the caller goes. What is not committed by then is rolled back, and where it is too late for that, the server's
    log tells it. Threads that hang are bounded too: with ``max_at_once`` of them, nothing more is begun.
    """

    def __init__(self, database: Database, *, limit_s: float, max_at_once: int) -> None:
        """``limit_s``: the longest wait, longer than the database's own for a connection and for a lock."""
        self._database, self._limit_s, self._max_at_once = database, limit_s, max_at_once
        self._free = threading.Semaphore(max_at_once)
        self._lock = threading.Lock()
        self._num_overdue = 0

    def write(self, work: Callable[[Session], Answer]) -> Answer:
        """What ``work`` returns, once all that it wrote is committed.

        Raises:
            StoreUnavailable: as in ``Database.write``, or it is not committed in time.
        """
        deadline = time.monotonic() + self._limit_s
        with self._lock:
            all_hang = self._num_overdue >= self._max_at_once
        if all_hang or not self._free.acquire(timeout=self._limit_s):
            raise self._too_slow()
        result: Future[Answer] = Future()
        given_up = threading.Event()
        context = contextvars.copy_context()  # a line in the server's log names its request
        thread = threading.Thread(
            target=context.run, args=(self._write, work, result, given_up), name="log-writer", daemon=True
        )
        thread.start()
        wait([result], timeout=max(0.0, deadline - time.monotonic()))
        given_up.set()
        if not result.done():
            with self._lock:
                self._num_overdue += 1
            result.add_done_callback(self._ended_late)
            raise self._too_slow()
        return result.result()

    def check(self) -> None:
        """See whether what was begun returns.

        Raises:
            StoreUnavailable: an answer is being logged that is not waited for any more.
        """
        with self._lock:
            if self._num_overdue:
                raise self._too_slow()

    def _write(self, work: Callable[[Session], Answer], result: Future[Answer], given_up: threading.Event) -> None:
        try:
            with self._database.write(soon=True) as session:
                value = work(session)
                if given_up.is_set():
                    raise _GivenUp
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._free.release()
            result.set_exception(error)
        else:
            self._free.release()
            result.set_result(value)

    def _ended_late(self, result: Future[Answer]) -> None:
        with self._lock:
            self._num_overdue -= 1
        if result.exception() is None:
            log.error(
                "Answer %d was not given, as it was not logged in time, and is in the log now.", result.result().id
            )

    def _too_slow(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"The database {self._database} does not return from logging an answer within {self._limit_s:g} s; "
            "its disk may be too slow (setting: store_timeout_s)."
        )
