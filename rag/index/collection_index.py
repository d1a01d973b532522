"""The two indexes of one collection, kept level with SQL.

SQL is the truth; what is here can be deleted at any time. At start the newest good snapshot is loaded and the
``index_changes`` after it are replayed; with no good snapshot both indexes are rebuilt from the passages and the
embeddings in SQL. Before each search, changes that any process has committed since are replayed, so that what was
added is found, and what was removed is not, at once.
"""

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexDamaged
from rag.index.allowed_ids import AllowedIds
from rag.index.fusion import fuse
from rag.index.keyword import KeywordEntry, KeywordIndex
from rag.index.passage_documents import PassageDocuments
from rag.index.recall import measure_recall
from rag.index.snapshots import SnapshotFolder, check_snapshot, link_folder
from rag.index.vectors import VectorIndex, VectorIndexKind, VectorStats
from rag.records import Fusion, HitScores, SearchMode
from rag.store.database import Database
from rag.store.index_changes import changes_after, last_change_id
from rag.store.passages import EmbeddingBatch, embeddings_of, iter_embeddings
from rag.text.context import context_line

log = logging.getLogger(__name__)

REPLAY_BATCH = 2_000
REBUILD_BATCH = 10_000
LINK_BATCH = 1_000
"""Vectors that are linked while searches wait: half a second to a second."""
SNAPSHOT_AFTER = 5_000
"""Changes that a reading process replays before it writes a snapshot itself, to spare the next one."""


class CollectionIndex:
    """Vector and keyword index of one collection in one process. Safe to share between threads."""

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
        self._lock = threading.RLock()
        self._working = Path(tempfile.mkdtemp(prefix="rag-keyword-"))
        self._change_id = self._saved_change_id = -1
        self._open()

    @property
    def change_id(self) -> int:
        """The last index change that is in."""
        return self._change_id

    def __len__(self) -> int:
        with self._lock:
            return len(self._vectors)

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
        with self._lock:
            return self._vectors.stats

    def vector_recall(self) -> float:
        """Recall@10 of the vector search against an exact one; see ``rag.index.recall``."""
        with self._lock:
            return measure_recall(self._vectors)

    def rebuild(self) -> None:
        """Build both indexes anew from SQL, nothing embedded again, and write a snapshot."""
        with self._lock:
            self._rebuild()
            self.refresh()
            self._vectors.optimize()
            self.save()

    def optimize(self) -> None:
        """Give the vector index the structure that its size calls for. For whoever adds many passages, before ``save``.

        Making a graph takes up to a millisecond a vector. Searches go on meanwhile and find everything.
        """
        more = True
        while more:
            with self._lock:
                before = self._vectors.stats
                more = self._vectors.optimize(max_vectors=LINK_BATCH)
                if self._vectors.stats != before:
                    self._saved_change_id = -1
            if more:
                time.sleep(0.001)  # a thread that lets go of a lock and takes it at once again gives no other a turn

    def close(self) -> None:
        """Remove this process's working copy of the keyword index."""
        shutil.rmtree(self._working, ignore_errors=True)

    def refresh(self) -> int:
        """Replay what was committed since; returns the last change id."""
        with self._lock:
            while True:
                with self._database.read() as session:
                    changes = changes_after(session, self._collection_id, self._change_id, limit=REPLAY_BATCH)
                    # The last word on a passage counts: it may have been added and removed within one batch.
                    final = {change.passage_id: change.operation for change in changes}
                    added = [passage_id for passage_id, operation in final.items() if operation == "add"]
                    batch = embeddings_of(session, added, self._embedding_model)
                if not changes:
                    return self._change_id
                there = set(batch.passage_ids.tolist())
                self._apply(batch, remove=[passage_id for passage_id in final if passage_id not in there])
                self._change_id = changes[-1].id

    def save(self) -> bool:
        """Write a snapshot if anything changed since the last one; says whether it did.

        Where it cannot be written, a full disk say, that is logged and nothing is lost: SQL has it all.
        """
        with self._lock:
            if self._change_id == self._saved_change_id:
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
            self._saved_change_id = self._change_id
            return True

    def _write_snapshot(self) -> None:
        written = self._snapshots.begin()
        try:
            self._vectors.save(written / "vectors")
            self._documents.save(written / "documents.npy")
            link_folder(self._keyword_folder, written / "keyword")
            self._snapshots.commit(
                written,
                embedding_model=self._embedding_model,
                dimension=self._dimension,
                change_id=self._change_id,
                num_passages=len(self._vectors),
            )
        finally:
            shutil.rmtree(written, ignore_errors=True)

    def search(
        self,
        query: str,
        vector: NDArray[np.float16],
        *,
        mode: SearchMode,
        candidates: int,
        keyword_weight: float,
        fusion: Fusion = "convex",
        allowed: AllowedIds | None = None,
    ) -> list[tuple[int, HitScores]]:
        """Passage ids with their scores, best first. In a single-leg mode ``fused`` orders as that leg does."""
        with self._lock:
            keyword = vectors = []
            if mode != "vector":
                keyword = self._keyword.search(query, limit=candidates, allowed=allowed)
            if mode != "keyword":
                vectors = self._vectors.search(vector, limit=candidates, allowed=allowed)
            near = {passage_id for passage_id, _ in vectors}
            missing = [passage_id for passage_id, _ in keyword if passage_id not in near] if mode == "hybrid" else []
            cosines = self._vectors.cosines(vector, missing)
        weight = {"hybrid": keyword_weight, "keyword": 1.0, "vector": 0.0}[mode]
        return fuse(keyword, vectors, keyword_weight=weight, cosines=cosines, fusion=fusion)

    def allowed(self, document_ids: NDArray[np.int64]) -> AllowedIds:
        """The passages of these documents, as far as they are in the index."""
        with self._lock:
            return self._documents.allowed(document_ids)

    def _open(self) -> None:
        for snapshot in self._snapshots.newest():
            try:
                self._load(snapshot)
            except IndexDamaged as error:
                log.warning("%s Trying an older snapshot, else rebuilding from SQL.", error)
            else:
                break
        else:
            self._rebuild()
        loaded = self._change_id
        self.refresh()
        if self._saved_change_id < 0 or self._change_id - loaded >= SNAPSHOT_AFTER:
            self.save()

    def _load(self, snapshot: Path) -> None:
        manifest = check_snapshot(snapshot, embedding_model=self._embedding_model, dimension=self._dimension)
        with self._database.read() as session:
            if manifest.change_id > last_change_id(session, self._collection_id):
                raise IndexDamaged(f"Snapshot {snapshot} is newer than the database: it belongs to another one.")
        folder = self._new_keyword_folder()
        link_folder(snapshot / "keyword", folder)
        keyword = KeywordIndex(folder)
        vectors = VectorIndex.load(snapshot / "vectors", self._dimension, kind=self._vector_index)
        self._documents = PassageDocuments.load(snapshot / "documents.npy")
        if len(vectors) != manifest.num_passages or len(keyword) != manifest.num_passages:
            raise IndexDamaged(f"Snapshot {snapshot} does not hold the passages that its manifest counts.")
        self._keyword, self._vectors, self._keyword_folder = keyword, vectors, folder
        self._change_id = self._saved_change_id = manifest.change_id

    def _rebuild(self) -> None:
        """Both indexes from SQL, no text embedded again."""
        self._vectors = VectorIndex(self._dimension, kind=self._vector_index)
        self._documents = PassageDocuments()
        self._keyword_folder = self._new_keyword_folder()
        self._keyword = KeywordIndex(self._keyword_folder)
        with self._database.read() as session:
            # Read first: what is committed meanwhile is replayed after, and replaying twice does no harm.
            change_id = last_change_id(session, self._collection_id)
            for batch in iter_embeddings(session, self._collection_id, self._embedding_model, batch_size=REBUILD_BATCH):
                self._apply(batch, remove=[])
        self._change_id, self._saved_change_id = change_id, -1

    def _apply(self, batch: EmbeddingBatch, *, remove: Sequence[int]) -> None:
        self._keyword.apply(
            add=(
                KeywordEntry(
                    passage_id=words.passage_id,
                    context=context_line(words.title, words.headings),
                    text=words.text,
                )
                for words in batch.words
            ),
            remove=remove,
        )
        removed = np.asarray(remove, dtype=np.int64)
        self._vectors.remove(removed)
        self._vectors.add(batch.passage_ids, batch.vectors)
        self._documents.remove(removed)
        self._documents.put(
            batch.passage_ids, np.fromiter((words.document_id for words in batch.words), dtype=np.int64)
        )

    def _new_keyword_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._working))
