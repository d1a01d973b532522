"""Rates that several processes count together."""

import hashlib
from typing import Any

from rag.api.rate_limits import RateLimiter
from rag.api.service import ServiceKeeper

# A token bucket by one number, the moment at which it will be full: the generic cell rate algorithm of ITU-T I.371.
# By the server's clock, since those of several machines differ. Strings, since Redis cuts numbers to whole ones.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local interval = 60 / tonumber(ARGV[1])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + interval
local wait = full_at - 60 - now
if wait > 0.000001 then return tostring(wait) end
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000))
return '0'
"""
_PREFIX = "rag:rate:"


class SharedTokenBuckets:
    """Counts on the service's Redis server; within this process without one, or while that is away.

    Safe to share between threads. Those over the same database count together.
    """

    def __init__(self, keeper: ServiceKeeper, own: RateLimiter) -> None:
        """``own`` counts within this process."""
        self._keeper, self._own = keeper, own

    def take(self, who: str, *, per_minute: int) -> float:
        """See :class:`RateLimiter`.

        Raises:
            Unavailable: the database has not been there yet.
        """
        service = self._keeper.open()
        wait: Any = None
        if service.shared_server is not None:
            scope = hashlib.sha256(service.database.place.encode()).hexdigest()[:16]
            key = f"{_PREFIX}{scope}:{who}"
            wait = service.shared_server.run(lambda redis: redis.eval(_TAKE, 1, key, per_minute), otherwise=None)
        return self._own.take(who, per_minute=per_minute) if wait is None else float(wait)
