"""Filters that were asked for lately, with what they left."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from rag.index.allowed_ids import AllowedIds
from rag.records import Caller
from rag.store.collections import get_collection_by_id
from rag.store.database import Database
from rag.store.filters import Filters, check_size
from rag.store.found_passages import document_ids_matching

NUM_KEPT = 32
"""At a million passages each holds a megabyte."""


class FilterCache:
    """Ids by filter and state of a collection, the least used forgotten first. Safe to share between threads."""

    def __init__(
        self, database: Database, collection_id: int, *, allowed_of: Callable[[NDArray[np.int64]], AllowedIds]
    ) -> None:
        """``allowed_of`` makes of the ids of documents what is kept."""
        self._database, self._collection_id, self._allowed_of = database, collection_id, allowed_of
        self._kept: OrderedDict[Hashable, tuple[Hashable, AllowedIds]] = OrderedDict()
        self._lock = threading.Lock()

    def allowed(self, filters: Filters, caller: Caller, *, change_id: int) -> AllowedIds | None:
        """What ``filters`` and the labels of ``caller`` leave; None for everything.

        ``change_id`` is the last index change that ``allowed_of`` knows of.

        Raises:
            InvalidInput: the filter is malformed.
        """
        if not filters and caller.access_labels is None:
            return None
        check_size(filters)
        labels = None if caller.access_labels is None else tuple(sorted(caller.access_labels))
        with self._database.read() as session:
            # The collection as it is now: its revision says whether what was found out before still holds.
            revision = get_collection_by_id(session, self._collection_id).revision
            # The filter as it was written: 1, 1.0 and true are equal to Python, and mean different things.
            key, state = (json.dumps(filters, default=str), labels), (revision, change_id)
            allowed = self._get(key, state)
            if allowed is None:
                documents = document_ids_matching(session, self._collection_id, filters, caller=caller)
                allowed = self._allowed_of(documents)
                self._put(key, state, allowed)
        return allowed

    def _get(self, key: Hashable, state: Hashable) -> AllowedIds | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept[0] != state:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def _put(self, key: Hashable, state: Hashable, allowed: AllowedIds) -> None:
        with self._lock:
            self._kept[key] = (state, allowed)
            self._kept.move_to_end(key)
            if len(self._kept) > NUM_KEPT:
                self._kept.popitem(last=False)
