"""Documents for the tests of the search engines."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rag.index.collection_index import CollectionIndex
from rag.index.milvus_collection import MilvusCollection
from rag.index.milvus_index import MilvusIndex
from rag.index.milvus_server import MilvusServer
from rag.index.postgres_index import PostgresIndex
from rag.index.search_engine import SearchIndex
from rag.index.vectors import VectorIndexKind
from rag.records import OWNER, Caller, Document, HitScores, Metadata, Passage, SearchMode, Section
from rag.store.collections import get_or_create_collection
from rag.store.database import Database, Session
from rag.store.documents import DocumentDetails, insert_document
from rag.store.filters import Filters
from rag.store.passages import replace_passages

MODEL, DIMENSION = "model", 16
WORDS = [
    *("apples", "pear", "plums", "the", "a", "running", "runner", "quickly", "Größe", "café", "naïve", "e-mail"),
    *("don’t", "2024", "v2.5", "house", "houses", "owner", "it", "is", "tree", "water", "glass", "board", "paper"),
]


class Corpus:
    """Documents with passages of chosen words, and with vectors that need no model."""

    def __init__(self, database: Database, folder: Path, *, name: str = "c", seed: int = 0) -> None:
        self.database, self.folder = database, folder
        self.rng = np.random.default_rng(seed)
        with database.write() as session:
            self.collection = get_or_create_collection(session, name, embedding_model=MODEL)

    def add(self, texts: Sequence[str], vectors: np.ndarray | None = None, **details: Any) -> int:
        """A document of these passages; returns its id. ``details`` as in :meth:`insert`."""
        with self.database.write() as session:
            return self.insert(session, texts, vectors, **details)[0]

    def insert(
        self,
        session: Session,
        texts: Sequence[str],
        vectors: np.ndarray | None = None,
        *,
        title: str = "T",
        metadata: Metadata | None = None,
        labels: tuple[str, ...] = (),
    ) -> tuple[int, list[int]]:
        """A document of these passages in a transaction of the caller's; returns its id and theirs."""
        source = f"memory:{self.rng.integers(1 << 60)}"
        whole = "".join(texts)
        document = Document(
            source=source,
            file=source,
            title=title,
            media_type="text/plain",
            text=whole,
            sections=(Section(start=0, end=len(whole)),),
            metadata=metadata or {},
        )
        starts = [sum(map(len, texts[:n])) for n in range(len(texts))]
        passages = [
            Passage(ordinal=n, start=start, end=start + len(one), text=one, num_tokens=3, headings=("Part of it",))
            for n, (start, one) in enumerate(zip(starts, texts, strict=True))
        ]
        details = DocumentDetails(file_sha256="", text_sha256=source, pipeline="", access_labels=labels)
        if vectors is None:
            vectors = self.vectors(len(texts))
        document_id = insert_document(session, self.collection.id, document, details)
        return document_id, replace_passages(session, document_id, self.collection.id, 1, passages, vectors, MODEL)

    def vectors(self, number: int) -> np.ndarray:
        """Unit vectors (number, dimension)."""
        found = self.rng.normal(size=(number, DIMENSION))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)

    def text(self) -> str:
        return " ".join(self.rng.choice(WORDS, size=int(self.rng.integers(3, 30))))

    def postgres(self, vector_index: VectorIndexKind = "auto") -> PostgresIndex:
        return PostgresIndex(
            self.database, collection_id=self.collection.id, embedding_model=MODEL, vector_index=vector_index
        )

    def embedded(self) -> CollectionIndex:
        return CollectionIndex(
            self.database,
            collection_id=self.collection.id,
            embedding_model=MODEL,
            dimension=DIMENSION,
            folder=self.folder / "index",
        )

    def milvus(self, server: MilvusServer, vector_index: VectorIndexKind = "auto") -> MilvusIndex:
        return MilvusIndex(
            self.database,
            MilvusCollection(
                server, f"rag_{self.collection.created_at:%Y%m%d%H%M%S%f}_{vector_index}", vector_index=vector_index
            ),
            collection_id=self.collection.id,
            embedding_model=MODEL,
            dimension=lambda: DIMENSION,
            wait_s=5,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Documents that are a half, a tenth and a hundredth of all, and the vectors of each by passage id."""

    corpus: Corpus
    vectors: dict[str, dict[int, np.ndarray]] = field(default_factory=lambda: defaultdict(dict))

    def recall(self, share: str, found: Callable[[np.ndarray, Filters], Sequence[int]]) -> float:
        """Recall@10 of twenty searches against an exact one, all of which must find ten passages of the share."""
        ids = np.array(list(self.vectors[share]))
        vectors = np.array(list(self.vectors[share].values()))
        hits = 0
        for query in self.corpus.vectors(20):
            true = set(ids[np.argsort(-(vectors @ query.astype(np.float32)))[:10]].tolist())
            passages = found(query, {"share": share})
            assert len(passages) == 10
            assert set(passages) <= set(self.vectors[share])
            hits += len(true & set(passages))
        return hits / 200


def search(
    index: SearchIndex,
    query: str,
    vector: np.ndarray,
    *,
    mode: SearchMode = "hybrid",
    candidates: int = 20,
    filters: Filters | None = None,
    caller: Caller = OWNER,
) -> dict[int, HitScores]:
    """What a fresh search finds, by passage id, the best first."""
    index.refresh()
    among = index.searcher(filters or {}, caller)
    ranking = among(query, vector, mode=mode, candidates=candidates, keyword_weight=0.4, fusion="convex")
    return dict(ranking)
