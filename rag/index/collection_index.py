"""The two indexes of one collection, kept level with SQL.

SQL is the truth; what is here can be deleted at any time. At start the newest good snapshot is loaded and the
``index_changes`` after it are replayed; with no good snapshot both indexes are rebuilt from the passages and the
embeddings in SQL. Before each search, changes that any process has committed since are replayed, so that what was
added is found, and what was removed is not, at once.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.disk import TemporaryFolder
from rag.errors import IndexDamaged
from rag.index.allowed_ids import AllowedIds
from rag.index.filter_cache import FilterCache
from rag.index.fusion import Ranking, fuse
from rag.index.index_contents import IndexContents
from rag.index.read_write_lock import ReadWriteLock
from rag.index.recall import measure_recall
from rag.index.search_engine import Search
from rag.index.snapshots import SnapshotFolder
from rag.index.vectors import GRAPH_FROM, VectorIndexKind, VectorStats
from rag.records import Caller, Fusion, SearchMode
from rag.store.database import Database
from rag.store.filters import Filters
from rag.store.index_changes import changes_after, count_changes_after, last_change_id
from rag.store.passages import embeddings_of, iter_embeddings

log = logging.getLogger(__name__)

Found = list[tuple[int, float]]
Leg = Callable[[], Found]

REPLAY_BATCH = 2_000
REBUILD_BATCH = 10_000
LINK_BATCH = 1_000
"""Vectors that are linked while searches wait: half a second to a second."""
ADOPT_FROM = GRAPH_FROM
"""Vectors to scan from which a process looks for a snapshot of one that has linked them."""
APART_FROM = 50_000
"""Passages from which the legs of a search run side by side. With fewer, handing one over takes longer than it does."""
KEYWORD_THREADS = 8
"""Keyword legs at work at the same time; further ones wait for these."""
SNAPSHOT_AFTER = 5_000
"""Changes that a reading process replays before it writes a snapshot itself, to spare the next one."""


class CollectionIndex:
    """Vector and keyword index of one collection in one process. Safe to share between threads.

    Searches go on side by side. Whoever changes the contents, replaces them or saves them holds ``_updating``; searches
    wait only while what they look into is touched, under ``_touching``.
    """

    def __init__(
        self,
        database: Database,
        *,
        collection_id: int,
        embedding_model: str,
        dimension: int,
        folder: Path,
        vector_index: VectorIndexKind = "auto",
    ) -> None:
        self._database = database
        self._collection_id = collection_id
        self._embedding_model, self._dimension = embedding_model, dimension
        self._vector_index: VectorIndexKind = vector_index
        self._snapshots = SnapshotFolder(folder)
        self._updating = threading.RLock()
        self._touching = ReadWriteLock()
        self._filters = FilterCache(database, collection_id, allowed_of=self.allowed)
        self._working = TemporaryFolder("rag-keyword-")
        self._snapshot_id = -1
        """The change up to which the last snapshot goes that was opened, written or looked at here."""
        self._restructured = False
        """Whether the contents are laid out otherwise than in that snapshot."""
        self._keyword_threads = ThreadPoolExecutor(KEYWORD_THREADS, thread_name_prefix="keyword-leg")
        self._contents = self._newest_snapshot() or self._rebuilt()
        self._catch_up()

    @property
    def change_id(self) -> int:
        """The last index change that is in."""
        return self._contents.change_id

    def changes_behind(self) -> int:
        """How many committed changes are not in yet; the next search replays them."""
        with self._database.read() as session:
            return count_changes_after(session, self._collection_id, self.change_id)

    def __len__(self) -> int:
        with self._touching.read():
            return len(self._contents)

    @property
    def embedding_model(self) -> str:
        """Whose vectors it holds."""
        return self._embedding_model

    @property
    def folder(self) -> Path:
        """Where its snapshots lie."""
        return self._snapshots.folder

    @property
    def vector_stats(self) -> VectorStats:
        """What its vector index is made of now."""
        with self._touching.read():
            return self._contents.vectors.stats

    def vector_recall(self) -> float:
        """Recall@10 of the vector search against an exact one; see ``rag.index.recall``."""
        with self._touching.read():
            return measure_recall(self._contents.vectors)

    def num_bytes(self) -> int:
        """What its snapshots take up. They share files by hard links; each counts once."""
        files = [path.stat() for path in self.folder.rglob("*") if path.is_file()]
        return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())

    def problem(self) -> str | None:
        """None that its length and its recall do not show."""
        return None

    def rebuild(self) -> None:
        """Build both indexes anew from SQL, nothing embedded again, and write a snapshot. Searches go on meanwhile."""
        with self._updating:
            rebuilt = self._rebuilt()
            while self._replay(rebuilt):
                pass
            rebuilt.vectors.optimize()
            self._replace(rebuilt)
            self.save()

    def optimize(self) -> None:
        """Give the vector index the structure that its size calls for. For whoever adds many passages, before ``save``.

        Making a graph takes up to a millisecond a vector. Searches go on meanwhile and find everything.
        """
        more = True
        while more:
            with self._updating, self._touching.write():
                vectors = self._contents.vectors
                before = vectors.stats
                more = vectors.optimize(max_vectors=LINK_BATCH)
                if vectors.stats != before:
                    self._restructured = True
            if more:
                time.sleep(0.001)  # a thread that lets go of a lock and takes it at once again gives no other a turn

    def close(self) -> None:
        """Remove this process's working copy of the keyword index."""
        self._working.remove()

    def refresh(self, newest: int | None = None) -> int:
        """Replay what was committed since; returns the last change id that is in.

        ``newest`` is the last change that the caller knows of: where it is in, SQL is not asked.
        """
        if newest is None:
            with self._database.read() as session:
                newest = last_change_id(session, self._collection_id)
        if newest <= self.change_id:
            return self.change_id
        with self._updating:
            while self._replay(self._contents):
                pass
            if self._vector_index != "exact" and self._contents.vectors.stats.num_unlinked > ADOPT_FROM:
                self._adopt_newer_snapshot()
            return self.change_id

    def _replay(self, contents: IndexContents) -> bool:
        """Replay a batch of changes; says whether there was any."""
        with self._database.read() as session:
            changes = changes_after(session, self._collection_id, contents.change_id, limit=REPLAY_BATCH)
            # The last word on a passage counts: it may have been added and removed within one batch.
            final = {change.passage_id: change.operation for change in changes}
            added = [passage_id for passage_id, operation in final.items() if operation == "add"]
            batch = embeddings_of(session, added, self._embedding_model)
        if not changes:
            return False
        there = set(batch.passage_ids.tolist())
        gone = [passage_id for passage_id in final if passage_id not in there]
        with self._touching.write():
            contents.apply(batch, remove=gone, change_id=changes[-1].id)
        return True

    def save(self) -> bool:
        """Write a snapshot if anything changed since the last one; says whether it did.

        Where it cannot be written, a full disk say, that is logged and nothing is lost: SQL has it all.
        """
        with self._updating:  # which keeps everything as it is; searches go on
            if self.change_id == self._snapshot_id and not self._restructured:
                return False
            try:
                self._write_snapshot()
            except (OSError, RuntimeError) as error:  # the latter is what FAISS raises
                log.warning(
                    "The index snapshot in %s cannot be written (%s); searches go on, the next start takes longer.",
                    self.folder,
                    getattr(error, "strerror", None) or error,
                )
                return False
            self._snapshot_id, self._restructured = self.change_id, False
            return True

    def _write_snapshot(self) -> None:
        written = self._snapshots.begin()
        try:
            self._contents.save(written)
            self._snapshots.commit(
                written,
                embedding_model=self._embedding_model,
                dimension=self._dimension,
                change_id=self.change_id,
                num_passages=len(self._contents),
            )
        finally:
            shutil.rmtree(written, ignore_errors=True)

    def searcher(self, filters: Filters, caller: Caller) -> Search:
        """A search among what ``filters`` and the labels of ``caller`` leave.

        Raises:
            InvalidInput: the filter is malformed.
        """
        return partial(self.search, allowed=self._filters.allowed(filters, caller, change_id=self.change_id))

    def search(
        self,
        query: str,
        vector: NDArray[np.float16],
        *,
        mode: SearchMode,
        candidates: int,
        keyword_weight: float,
        fusion: Fusion = "adaptive",
        allowed: AllowedIds | None = None,
    ) -> Ranking:
        """The passages that both legs find. In a single-leg mode ``fused`` orders as that leg does."""
        with self._touching.read():
            contents = self._contents
            by_keyword = partial(contents.keyword.search, query, limit=candidates, allowed=allowed)
            by_vector = partial(contents.vectors.search, vector, limit=candidates, allowed=allowed)
            if mode == "hybrid" and len(contents) >= APART_FROM:
                keyword, vectors = self._at_once(by_keyword, by_vector)
            else:
                keyword = by_keyword() if mode != "vector" else []
                vectors = by_vector() if mode != "keyword" else []
            near = {passage_id for passage_id, _ in vectors}
            missing = [passage_id for passage_id, _ in keyword if passage_id not in near] if mode == "hybrid" else []
            cosines = contents.vectors.cosines(vector, missing)
        weight = {"hybrid": keyword_weight, "keyword": 1.0, "vector": 0.0}[mode]
        return fuse(keyword, vectors, keyword_weight=weight, cosines=cosines, fusion=fusion)

    def _at_once(self, by_keyword: Leg, by_vector: Leg) -> tuple[Found, Found]:
        """Both legs, each in a thread of its own; neither is at work any more when this ends, whatever happens."""
        keyword = self._keyword_threads.submit(by_keyword)
        try:
            vectors = by_vector()
        finally:
            wait([keyword])
        return keyword.result(), vectors

    def allowed(self, document_ids: NDArray[np.int64]) -> AllowedIds:
        """The passages of these documents, as far as they are in the index."""
        with self._touching.read():
            return self._contents.documents.allowed(document_ids)

    def _catch_up(self) -> None:
        opened = self.change_id
        while self._replay(self._contents):
            pass
        if self._restructured or self.change_id - opened >= SNAPSHOT_AFTER:
            self.save()

    def _adopt_newer_snapshot(self) -> None:
        """Go on from a snapshot that another process wrote and linked, as far as this one only appends rows to scan."""
        newest = self._snapshots.newest()[:1]
        if newest and int(newest[0].name) > self._snapshot_id:
            self._snapshot_id = int(newest[0].name)  # looked at once, good or damaged
            try:
                contents = self._load(newest[0])
            except IndexDamaged as error:
                log.warning("%s Searches go on without it.", error)
            else:
                while self._replay(contents):
                    pass
                self._replace(contents)
                self._restructured = False

    def _replace(self, contents: IndexContents) -> None:
        with self._touching.write():
            former, self._contents, self._restructured = self._contents, contents, True
        former.discard()

    def _newest_snapshot(self) -> IndexContents | None:
        """What the newest good snapshot holds."""
        for snapshot in self._snapshots.newest():
            try:
                contents = self._load(snapshot)
            except IndexDamaged as error:
                log.warning("%s Trying an older snapshot, else rebuilding from SQL.", error)
            else:
                self._snapshot_id = contents.change_id
                return contents
        return None

    def _load(self, snapshot: Path) -> IndexContents:
        contents = IndexContents.load(
            snapshot,
            embedding_model=self._embedding_model,
            dimension=self._dimension,
            kind=self._vector_index,
            working=self._working.path,
        )
        with self._database.read() as session:
            if contents.change_id > last_change_id(session, self._collection_id):
                raise IndexDamaged(f"Snapshot {snapshot} is newer than the database: it belongs to another one.")
        return contents

    def _rebuilt(self) -> IndexContents:
        """Both indexes from SQL, no text embedded again."""
        contents = IndexContents.empty(self._dimension, kind=self._vector_index, working=self._working.path)
        with self._database.read() as session:
            # Read first: what is committed meanwhile is replayed after, and replaying twice does no harm.
            change_id = last_change_id(session, self._collection_id)
            for batch in iter_embeddings(session, self._collection_id, self._embedding_model, batch_size=REBUILD_BATCH):
                contents.apply(batch, remove=[], change_id=change_id)
        contents.change_id = change_id
        self._restructured = True
        return contents
