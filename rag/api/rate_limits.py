"""How fast requests may come."""

import threading
import time
from collections.abc import Callable
from typing import Protocol


class RateLimiter(Protocol):
    """What counts requests: in this process, or in a place that several processes share."""

    def take(self, who: str, *, per_minute: int) -> float:
        """Count a request of ``who``; returns 0 if it may pass, else after how many seconds one may."""
        ...


class TokenBuckets:
    """Counts within this process. Safe to share between threads.

    A token bucket for each caller: it holds the requests of a minute, so that a burst may pass, and fills evenly.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when there were so many
        self._lock = threading.Lock()

    def take(self, who: str, *, per_minute: int) -> float:
        """See :class:`RateLimiter`."""
        now = self._clock()
        with self._lock:
            tokens, then = self._buckets.get(who, (float(per_minute), now))
            tokens = min(float(per_minute), tokens + (now - then) * per_minute / 60)
            if tokens < 1:
                self._buckets[who] = (tokens, now)
                return (1 - tokens) * 60 / per_minute
            self._buckets[who] = (tokens - 1, now)
            return 0.0
