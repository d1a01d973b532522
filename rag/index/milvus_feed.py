"""How Milvus hears of what SQL holds: builds made from SQL, and the index changes after them replayed.

Any process may feed; a lock of the database lets one at a time. A change is taken in by putting a passage as SQL has it
now, or taking it out where SQL has it no longer, so a change that is replayed twice does no harm. The mark of a build
is moved after each batch: a process that is killed leaves no more to do than what it was at.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rag.errors import Busy, IndexUnavailable
from rag.index.milvus_collection import Mark, MilvusCollection
from rag.store.database import Database
from rag.store.index_changes import changes_after, last_change_id, moment_of_change
from rag.store.passages import embeddings_of, iter_embeddings

BATCH = 2_000
"""Passages of one write: some megabytes, of the 64 that a Milvus server takes at once."""

SEAL_FROM = 1_000
"""Changes after which Milvus Lite is told to seal: it scans what is not sealed, word by word. Servers seal by
themselves."""


class MilvusFeed:
    """Keeps the builds of one collection under one embedding model level with SQL. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        milvus: MilvusCollection,
        *,
        collection_id: int,
        embedding_model: str,
        dimension: Callable[[], int],
        wait_s: float,
    ) -> None:
        """``dimension`` tells that of the model, where a build is made.

        ``wait_s`` is how long a search waits for another one, or another process, that feeds.
        """
        self._database, self._milvus = database, milvus
        self._collection_id, self._embedding_model = collection_id, embedding_model
        self._dimension, self._wait_s = dimension, wait_s
        self._feeding = threading.Lock()
        self._known = -1

    @property
    def known(self) -> int:
        """The last change that is in for sure; -1 where Milvus has to be asked."""
        return self._known

    def doubt(self) -> None:
        """Ask Milvus again how far it is: it has failed, and may have been started anew or have lost what it held."""
        self._known = -1
        self._milvus.doubt()

    def bring_level(self, newest: int) -> int:
        """Have the changes up to ``newest`` taken in, and all others that are committed; returns the last one.

        Where Milvus has nothing of the collection yet, it is built.

        Raises:
            Busy: others are feeding for too long.
            IndexUnavailable: Milvus does not answer, or what it holds is of another database.
        """
        if newest <= self._known:
            return self._known
        with self._alone():
            if newest > self._known and not self._feed_current():
                self._build(only_if_missing=True, wait_s=self._wait_s)
                self._feed_current()
        return self._known

    def build(self) -> None:
        """Make a new build from SQL beside the one that answers, and let searches go to it.

        Raises:
            IndexUnavailable: Milvus does not answer. The one that answers stays.
        """
        self._build(only_if_missing=False)

    def forget(self) -> None:
        """Drop what Milvus holds of the collection under this model."""
        with self._database.exclusive(self._lock_of("build")), self._database.exclusive(self._lock_of("feed")):
            self._milvus.forget()
            self._known = -1

    def mark(self) -> Mark:
        """How far the build that answers is."""
        build = self._milvus.current()
        return Mark(change_id=0, changed_at=None) if build is None else self._milvus.mark(build)

    def _build(self, *, only_if_missing: bool, wait_s: float = math.inf) -> None:
        # Two locks: others must be able to feed the build that answers while a new one is filled for an hour.
        with self._database.exclusive(self._lock_of("build"), wait_s=wait_s):
            if only_if_missing and self._milvus.current() is not None:
                return
            build = self._milvus.begin(self._dimension())
            with self._database.read() as session:
                start = last_change_id(session, self._collection_id)
            self._fill(build)
            self._set_mark(build, start)
            self._replay(build)
            self._milvus.seal(build)
            with self._database.exclusive(self._lock_of("feed")):
                self._replay(build)
                self._milvus.switch(build)

    def _feed_current(self) -> bool:
        """Bring the build that answers level with SQL; says whether there is one."""
        with self._database.exclusive(self._lock_of("feed"), wait_s=self._wait_s):
            build = self._milvus.current()
            if build is not None:
                self._known = self._replay(build)
        return build is not None

    def _fill(self, build: str) -> None:
        after_id, is_done = 0, False
        while not is_done:
            # A short read for each batch. What changes in between comes after ``start``, and is replayed.
            with self._database.read() as session:
                batches = iter_embeddings(
                    session, self._collection_id, self._embedding_model, batch_size=BATCH, after_id=after_id
                )
                batch = next(batches, None)
            if batch is None:
                is_done = True
            else:
                self._milvus.put(build, batch)
                after_id = batch.words[-1].passage_id

    def _replay(self, build: str) -> int:
        """Take in what was committed after the mark of a build; returns the last change that is in."""
        mark = self._milvus.mark(build)
        with self._database.read() as session:
            moment = moment_of_change(session, self._collection_id, mark.change_id)
        if mark.change_id and moment != mark.changed_at:
            raise IndexUnavailable(
                f"What Milvus at {self._milvus.server.uri} holds of this collection is of another database, or of this "
                "one before it was restored. Run `rag index build`, or, where two databases share the server, name "
                "another Milvus database in milvus_uri."
            )
        change_id, num_replayed = mark.change_id, 0
        while (replayed := self._replay_batch(build, change_id)) is not None:
            change_id, num_replayed = replayed[0], num_replayed + replayed[1]
        if num_replayed >= SEAL_FROM and self._milvus.server.abilities.is_lite:
            self._milvus.seal(build)
        return change_id

    def _replay_batch(self, build: str, change_id: int) -> tuple[int, int] | None:
        """Replay the next changes; returns the last of them and how many there were, None where there was none."""
        with self._database.read() as session:
            changes = changes_after(session, self._collection_id, change_id, limit=BATCH)
            passage_ids = {change.passage_id for change in changes}
            batch = embeddings_of(session, sorted(passage_ids), self._embedding_model)
        if not changes:
            return None
        self._milvus.remove(build, sorted(passage_ids - set(batch.passage_ids.tolist())))
        self._milvus.put(build, batch)
        self._set_mark(build, changes[-1].id)
        return changes[-1].id, len(changes)

    def _set_mark(self, build: str, change_id: int) -> None:
        with self._database.read() as session:
            moment = moment_of_change(session, self._collection_id, change_id)
        self._milvus.set_mark(build, Mark(change_id=change_id, changed_at=moment))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of the threads of this process; the others would each wait for the database's lock."""
        if not self._feeding.acquire(timeout=self._wait_s):
            raise Busy("The index in Milvus is being brought up to date; try again.")
        try:
            yield
        finally:
            self._feeding.release()

    def _lock_of(self, work: str) -> str:
        return f"milvus-{work}-{self._collection_id}"
