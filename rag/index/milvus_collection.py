"""The passages of one collection under one embedding model, as Milvus holds them.

They are a Milvus collection of their own, a *build*, and searches go to an alias that points to it: a new build is
filled beside the one that answers, and takes its place at once. How far a build is, is a row of the Milvus collection
``MARKS``, written after what it speaks of.

Conditions are made of whole numbers only: no words of a person get into an expression.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rag.errors import IndexUnavailable
from rag.index.keyword import stems
from rag.index.milvus_server import LONG_TIMEOUT_S, WRITE_TIMEOUT_S, MilvusServer
from rag.index.vectors import VectorIndexKind
from rag.store.passages import EmbeddingBatch
from rag.text.context import context_line

MARKS = "rag_marks"

MAX_LIMIT = 16_384
"""Most hits of one search, and most rows of one query, that a Milvus server gives."""

MAX_WIDTH = 32_768
"""Most passages that a walk through HNSW may keep in view."""

MIN_WIDTH = 200

MAX_WORDS_BYTES = 65_535
"""Most that a text field holds. A passage has some hundred words; what is beyond in one of another making is not found
by the keyword leg."""

VectorKind = Literal["exact", "hnsw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The last index change that a build holds, and when that change was made; None before any."""

    change_id: int
    changed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MilvusHit:
    """A passage that was found, its document, and its inner product or BM25."""

    passage_id: int
    document_id: int
    score: float


class MilvusCollection:
    """The builds behind one alias. Safe to share between threads; who writes makes sure to be alone."""

    def __init__(
        self, server: MilvusServer, alias: str, *, vector_index: VectorIndexKind = "auto", num_replicas: int = 1
    ) -> None:
        """``vector_index`` and ``num_replicas``, the query nodes that hold each passage, are for builds that are made
        from now on; nothing is asked of the server yet."""
        self.server, self.alias = server, alias
        self._vector_index, self._num_replicas = vector_index, num_replicas
        self._loaded: str | None = None
        self._written_at = 0

    @property
    def kind(self) -> VectorKind:
        """Which vector index builds get. Servers scan by themselves what is too small to be linked."""
        if self._vector_index == "auto":
            return "exact" if self.server.abilities.is_lite else "hnsw"
        return self._vector_index

    def current(self) -> str | None:
        """The build that searches go to, ready for them; None where there is none yet."""
        build = self._target()
        if build is not None and build != self._loaded:
            self._load(MARKS)
            self._load(build)
            self._loaded = build
        return build

    def doubt(self) -> None:
        """The server has failed: take nothing for loaded."""
        self._loaded = None

    def begin(self, dimension: int) -> str:
        """Make a new, empty build for vectors of a dimension; what others have left unfinished is dropped.

        Returns its name.
        """
        if self.server.run("has_collection", MARKS):
            self.server.load(MARKS, num_replicas=self._num_replicas, keep=False)
        else:
            self._create_marks()
        current = self._target()
        for name in self._builds():
            if name != current:
                self._drop(name)
        name = f"{self.alias}_{uuid.uuid4().hex[:8]}"
        self._create(name, dimension)
        return name

    def switch(self, build: str) -> None:
        """Let searches go to this build from now on, and drop the one before."""
        self.server.run("query", build, output_fields=["count(*)"])  # waits until what was written is there to be seen
        former = self._target()
        self.server.run("create_alias" if former is None else "alter_alias", build, self.alias)
        if former is not None:
            self._drop(former)

    def forget(self) -> None:
        """Drop everything."""
        if self._target() is not None:
            self.server.run("drop_alias", self.alias)
        for name in self._builds():
            self._drop(name)

    def put(self, build: str, batch: EmbeddingBatch) -> None:
        """Take passages in, or anew."""
        if not batch.words:
            return
        vectors = batch.vectors if self.server.abilities.has_half_precision else batch.vectors.astype(np.float32)
        rows: list[dict[str, Any]] = [
            {"passage_id": words.passage_id, "document_id": words.document_id, "vector": vector}
            for words, vector in zip(batch.words, vectors, strict=True)
        ]
        if self.server.abilities.has_full_text:
            for row, words in zip(rows, batch.words, strict=True):
                row["words"] = _words(f"{context_line(words.title, words.headings)}\n{words.text}")
        self.server.run("upsert", build, rows, timeout=WRITE_TIMEOUT_S)

    def remove(self, build: str, passage_ids: Sequence[int]) -> None:
        """Take passages out; those that are not in do no harm."""
        if passage_ids:
            self.server.run("delete", build, ids=list(passage_ids), timeout=WRITE_TIMEOUT_S)

    def seal(self, build: str) -> None:
        """Have the server write out and link what it has taken in: searches scan what is not sealed."""
        self.server.run("flush", build, timeout=LONG_TIMEOUT_S)

    def mark(self, build: str) -> Mark:
        """How far a build is."""
        rows = self.server.run("get", MARKS, ids=[build], output_fields=["change_id", "changed_at", "written_at"])
        if not rows:
            return Mark(change_id=0, changed_at=None)
        (row,) = rows
        self._written_at = max(self._written_at, row["written_at"])
        moment = datetime.fromisoformat(row["changed_at"]) if row["changed_at"] else None
        return Mark(change_id=row["change_id"], changed_at=moment)

    def set_mark(self, build: str, mark: Mark) -> None:
        """Note how far a build is, after what it speaks of."""
        moment = "" if mark.changed_at is None else mark.changed_at.isoformat()
        self._written_at = self.server.timestamp()
        row = {"build": build, "change_id": mark.change_id, "changed_at": moment, "written_at": self._written_at}
        self.server.run("upsert", MARKS, [{**row, "vector": [1.0, 0.0]}])

    def count(self) -> int:
        """How many passages are in."""
        rows = self.server.run("query", self.alias, output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    def ids_between(self, after_id: int, last_id: int | None) -> NDArray[np.int64]:
        """The passages that are in with ids beyond one and up to another, ascending; the first ``MAX_LIMIT`` or so."""
        condition = f"passage_id > {int(after_id)}" + ("" if last_id is None else f" and passage_id <= {int(last_id)}")
        rows = self.server.run("query", self.alias, filter=condition, output_fields=["passage_id"], limit=MAX_LIMIT)
        return np.sort(np.fromiter((row["passage_id"] for row in rows), dtype=np.int64, count=len(rows)))

    def cosines(self, vector: NDArray[np.float16], passage_ids: Sequence[int]) -> dict[int, float]:
        """The inner products of ``vector`` with those of the passages that are in."""
        if not passage_ids:
            return {}
        rows = self.server.run("get", self.alias, ids=list(passage_ids), output_fields=["vector"], **self._as_written())
        query = vector.astype(np.float32)
        return {row["passage_id"]: float(_as_float32(row["vector"]) @ query) for row in rows}

    def search_vectors(
        self, vector: NDArray[np.float16], /, *, limit: int, documents: Sequence[int] | None = None
    ) -> list[MilvusHit]:
        """The nearest passages, best first; only of ``documents``, if given."""
        found = self._walk(vector, limit=limit, documents=documents, width=max(MIN_WIDTH, 2 * limit))
        if documents is not None and len(found) < limit and self.kind == "hnsw":
            # A walk only comes upon what is near the question, so it may miss some of few: these are looked at here.
            found = self._scan(vector, limit=limit, documents=documents)
        return found

    def search_words(self, query: str, /, *, limit: int, documents: Sequence[int] | None = None) -> list[MilvusHit]:
        """The best passages by BM25, best first; only of ``documents``, if given."""
        if not (words := " ".join(dict.fromkeys(stems(query)))):
            return []
        return self._search("terms", words, {"metric_type": "BM25"}, limit=limit, documents=documents)

    def _walk(
        self, vector: NDArray[np.float16], *, limit: int, documents: Sequence[int] | None, width: int
    ) -> list[MilvusHit]:
        wanted = vector if self.server.abilities.has_half_precision else vector.astype(np.float32)
        parameters = {"metric_type": "IP", "params": {"ef": min(MAX_WIDTH, width)}}
        return self._search("vector", wanted, parameters, limit=limit, documents=documents)

    def _scan(self, vector: NDArray[np.float16], *, limit: int, documents: Sequence[int]) -> list[MilvusHit]:
        rows = self.server.run(
            "query",
            self.alias,
            filter=_among_documents(documents),
            output_fields=["passage_id", "document_id", "vector"],
            limit=MAX_LIMIT,
            **self._as_written(),
        )
        query = vector.astype(np.float32)
        hits = (
            MilvusHit(
                passage_id=row["passage_id"],
                document_id=row["document_id"],
                score=float(_as_float32(row["vector"]) @ query),
            )
            for row in rows
        )
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage_id))[:limit]

    def _search(
        self, field: str, wanted: Any, parameters: dict[str, Any], *, limit: int, documents: Sequence[int] | None
    ) -> list[MilvusHit]:
        found = self.server.run(
            "search",
            self.alias,
            data=[wanted],
            anns_field=field,
            search_params=parameters,
            limit=min(limit, MAX_LIMIT),
            filter="" if documents is None else _among_documents(documents),
            output_fields=["document_id"],
            **self._as_written(),
        )
        # Milvus Lite gives BM25 as a distance, below zero; servers give it as it is.
        hits = (
            MilvusHit(
                passage_id=hit.id,
                document_id=hit["entity"]["document_id"],
                score=abs(hit["distance"]) if field == "terms" else hit["distance"],
            )
            for hit in found[0]
        )
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage_id))

    def _as_written(self) -> dict[str, Any]:
        """How a search asks to see what any process had written when the mark was moved that is known here.

        Strong consistency would wait for all that anybody writes until now: a fifth of a second, on an idle server too.
        """
        if not self._written_at:
            return {}
        return {"consistency_level": "Customized", "guarantee_timestamp": self._written_at}

    def _target(self) -> str | None:
        if not self.server.run("has_collection", self.alias):
            return None
        name: str = self.server.run("describe_collection", self.alias)["collection_name"]
        return name

    def _load(self, name: str) -> None:
        # Milvus Lite does not load by itself what it has, when it starts.
        self.server.load(name, num_replicas=self._num_replicas)

    def _builds(self) -> list[str]:
        prefix = f"{self.alias}_"
        return [name for name in self.server.run("list_collections") if name.startswith(prefix)]

    def _drop(self, build: str) -> None:
        self.server.run("drop_collection", build)
        if self.server.run("has_collection", MARKS):
            self.server.run("delete", MARKS, ids=[build])

    def _create(self, name: str, dimension: int) -> None:
        from pymilvus import DataType, Function, FunctionType, MilvusClient

        abilities = self.server.abilities
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("passage_id", DataType.INT64, is_primary=True)
        schema.add_field("document_id", DataType.INT64)
        vectors = DataType.FLOAT16_VECTOR if abilities.has_half_precision else DataType.FLOAT_VECTOR
        schema.add_field("vector", vectors, dim=dimension)
        indexes = MilvusClient.prepare_index_params()
        # Within "params", as all servers take them; Milvus Lite does not see them otherwise.
        links = {"M": 32, "efConstruction": 200} if self.kind == "hnsw" else {}
        indexes.add_index("vector", index_type=_INDEX_TYPES[self.kind], metric_type="IP", params={"params": links})
        if abilities.has_full_text:
            # Words come as stems between blanks, so that they are compared as by the other engines.
            analyzer = {"tokenizer": "standard" if abilities.is_lite else "whitespace"}
            schema.add_field(
                "words", DataType.VARCHAR, max_length=MAX_WORDS_BYTES, enable_analyzer=True, analyzer_params=analyzer
            )
            schema.add_field("terms", DataType.SPARSE_FLOAT_VECTOR)
            schema.add_function(
                Function(
                    name="bm25",
                    function_type=FunctionType.BM25,
                    input_field_names=["words"],
                    output_field_names=["terms"],
                )
            )
            bm25 = {"bm25_k1": 1.2, "bm25_b": 0.75}  # tantivy's
            indexes.add_index("terms", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params={"params": bm25})
        self._make(name, schema, indexes)

    def _create_marks(self) -> None:
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("build", DataType.VARCHAR, max_length=255, is_primary=True)
        schema.add_field("change_id", DataType.INT64)
        schema.add_field("changed_at", DataType.VARCHAR, max_length=40)
        schema.add_field("written_at", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)  # Milvus has no collection without one
        indexes = MilvusClient.prepare_index_params()
        indexes.add_index("vector", index_type="FLAT", metric_type="IP")
        try:
            self._make(MARKS, schema, indexes)
        except IndexUnavailable:
            if not self.server.run("has_collection", MARKS):  # another process may have been first
                raise

    def _make(self, name: str, schema: Any, indexes: Any) -> None:
        # Strong: what asks for nothing else sees what any process has written before.
        wait = {"timeout": LONG_TIMEOUT_S}
        self.server.run("create_collection", name, schema=schema, consistency_level="Strong", **wait)
        # Not synchronous: there is nothing to link yet, and the client would wait half a second for each.
        self.server.run("create_index", name, indexes, sync=False, **wait)
        self._load(name)


_INDEX_TYPES = {"exact": "FLAT", "hnsw": "HNSW"}


def _among_documents(documents: Sequence[int]) -> str:
    return f"document_id in {[int(one) for one in documents]}"


def _words(text: str) -> str:
    return " ".join(stems(text)).encode()[:MAX_WORDS_BYTES].decode(errors="ignore")


def _as_float32(vector: Any) -> NDArray[np.float32]:
    # Half precision comes as bytes, in some versions within a list.
    if isinstance(vector, list) and vector and isinstance(vector[0], bytes):
        vector = vector[0]
    if isinstance(vector, bytes):
        vector = np.frombuffer(vector, dtype="<f2")
    return np.asarray(vector, dtype=np.float32)
