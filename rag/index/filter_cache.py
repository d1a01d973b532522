"""Filters that were asked for lately, with the passages that they left."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from rag.index.allowed_ids import AllowedIds

NUM_KEPT = 32
"""At a million passages each holds a megabyte."""


class FilterCache:
    """Passages by filter and state of the collection, the least used forgotten first. Safe to share between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Hashable, AllowedIds]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, state: Hashable) -> AllowedIds | None:
        """What was put under this key, if the collection is still in that state."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != state:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def put(self, key: Hashable, state: Hashable, allowed: AllowedIds) -> None:
        """Keep what a filter left in a state of the collection."""
        with self._lock:
            self._kept[key] = (state, allowed)
            self._kept.move_to_end(key)
            if len(self._kept) > NUM_KEPT:
                self._kept.popitem(last=False)
