"""A Redis server that may be away: then its callers go on without it, and it is asked again after a while."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rag.errors import InvalidInput

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)
T = TypeVar("T")

TIMEOUT_S = 0.25
"""Longest wait for one reply. What is shared only saves work, so waiting for it must cost less than that."""
RETRY_AFTER_S = 5.0


class SharedServer:
    """Runs commands on a Redis server, or says that it cannot. Safe to share between threads; connects at first use."""

    def __init__(
        self, url: str, *, retry_after_s: float = RETRY_AFTER_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` counts seconds.

        Raises:
            InvalidInput: the package redis is missing, or ``redis_url`` is no URL that it takes.
        """
        try:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise InvalidInput("redis_url needs the Python package redis; install grounded-rag[redis].") from error
        try:
            self._redis: Redis = Redis.from_url(
                url,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise InvalidInput(
                "redis_url is not a URL of a Redis server; write for example redis://localhost:6379/0."
            ) from error
        self._error, self._retry_after_s, self._clock = RedisError, retry_after_s, clock
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._problem: str | None = None

    def run(self, command: Callable[["Redis"], T], *, otherwise: T) -> T:
        """What ``command`` returns; ``otherwise`` while the server is away."""
        if self._clock() < self._away_until:
            return otherwise
        try:
            result = command(self._redis)
        except self._error as error:
            self._note_problem(str(error) or type(error).__name__)
            return otherwise
        self._note_back()
        return result

    def problem(self) -> str | None:
        """Why the server does not answer, as a sentence; None where it does."""
        self.run(lambda redis: redis.ping(), otherwise=None)
        return self._problem

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _note_problem(self, reason: str) -> None:
        sentence = f"Redis does not answer ({reason.rstrip('.')}); everything works without it, slower."
        with self._lock:
            is_news = self._problem is None
            self._problem, self._away_until = sentence, self._clock() + self._retry_after_s
        if is_news:
            log.warning("%s", sentence)

    def _note_back(self) -> None:
        if self._problem is None:
            return
        with self._lock:
            self._problem = None
        log.info("Redis answers again.")
