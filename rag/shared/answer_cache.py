"""Which answer was given to the same question before: its id by a key. The answer itself stays in the log."""

import threading
from dataclasses import dataclass
from typing import Any

from rag.shared.server import SharedServer

_PREFIX = "rag:answer:"


@dataclass(frozen=True, slots=True)
class Lookups:
    """How often an answer was looked for: found, or not."""

    num_found: int
    num_missed: int


class AnswerCache:
    """Ids of answers by key, each kept for so many seconds. Nothing in there tells a question or an answer."""

    def __init__(self, server: SharedServer, *, seconds: int) -> None:
        self._server, self._seconds = server, seconds
        self._lock = threading.Lock()
        self._lookups = Lookups(0, 0)

    def find(self, key: str) -> int | None:
        """The id that is kept under a key; None where there is none, or nobody to ask."""
        found: Any = self._server.run(lambda redis: redis.get(_PREFIX + key), otherwise=None)
        try:
            return None if found is None else int(found)
        except ValueError:  # somebody else's
            return None

    def keep(self, key: str, answer_id: int) -> None:
        """Keep an id under a key, in place of any other."""
        self._server.run(lambda redis: redis.set(_PREFIX + key, answer_id, ex=self._seconds), otherwise=None)

    def count(self, *, found: bool) -> None:
        """Count a question that was looked for."""
        with self._lock:
            now = self._lookups
            self._lookups = Lookups(now.num_found + found, now.num_missed + (not found))

    def lookups(self) -> Lookups:
        """How many were found by this process, and how many not."""
        return self._lookups
