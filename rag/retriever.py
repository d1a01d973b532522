"""The retriever: a question in, the passages that may answer it out, with every score."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rag.errors import InvalidInput, LimitExceeded
from rag.index.allowed_ids import AllowedIds
from rag.index.collection_index import SearchFilter
from rag.index.embedder import Embedder
from rag.index.index_set import IndexSet
from rag.records import DocumentReference, Hit, HitScores, SearchMode
from rag.store.collections import Collection, get_collection
from rag.store.column_types import check_plain_text
from rag.store.database import Database
from rag.store.passages import (
    PassageRow,
    document_ids_matching,
    load_hits,
    passage_ids_matching,
    passage_ids_of_document,
)
from rag.text.clean import normalized_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Hits, best first, and what is needed to log how they were found.

    ``change_id`` is the last index change that the search saw; ``vector`` is the question's unit vector.
    """

    hits: tuple[Hit, ...]
    collection: Collection
    change_id: int
    vector: NDArray[np.float16]
    timings_ms: Mapping[str, float]


class Retriever:
    """Hybrid search over one database. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        indexes: IndexSet,
        *,
        num_candidates: int,
        keyword_weight: float,
        max_top_k: int,
        max_question_chars: int,
    ) -> None:
        self._database, self._embedder, self._indexes = database, embedder, indexes
        self._num_candidates, self._keyword_weight = num_candidates, keyword_weight
        self._max_top_k, self._max_question_chars = max_top_k, max_question_chars

    @property
    def settings(self) -> Mapping[str, object]:
        """What else its hits depend on, as logged."""
        return {"num_candidates": self._num_candidates, "keyword_weight": self._keyword_weight}

    def search(
        self,
        question: str,
        *,
        collection: str,
        top_k: int,
        mode: SearchMode = "hybrid",
        filters: Mapping[str, str] | None = None,
    ) -> SearchResult:
        """Find the ``top_k`` best passages of a collection.

        Filters are applied inside both searches, so a selective one still gets its full ``top_k``.

        Raises:
            InvalidInput: the question is empty or cannot be stored, ``top_k`` is below 1, or the collection has another
                embedding model.
            LimitExceeded: the question is too long, or ``top_k`` too large.
            NotFound: there is no such collection.
        """
        self._check(question, top_k)
        with self._database.read() as session:
            found = get_collection(session, collection)
            allowed = None
            if filters:
                allowed = SearchFilter(
                    passage_ids=AllowedIds.of_ids(passage_ids_matching(session, found.id, filters)),
                    document_ids=document_ids_matching(session, found.id, filters),
                )
        index = self._indexes.get(found)
        started = time.perf_counter()
        vector = self._embedder.embed([question])[0]
        embedded = time.perf_counter()
        change_id = index.refresh()
        ranked = index.search(
            question,
            vector,
            mode=mode,
            num_candidates=max(self._num_candidates, top_k),
            keyword_weight=self._keyword_weight,
            allowed=allowed,
        )
        hits = self._load(ranked, top_k)
        return SearchResult(
            hits=hits,
            collection=found,
            change_id=change_id,
            vector=vector,
            timings_ms={
                "embed": (embedded - started) * 1000,
                "retrieve": (time.perf_counter() - embedded) * 1000,
            },
        )

    def passages_of(self, question: str, *, collection: str, document_id: int) -> SearchResult:
        """All passages of one document, as if they had been found: to read a document that is known to be right.

        Raises:
            NotFound: there is no such collection.
        """
        self._check(question, top_k=1)
        with self._database.read() as session:
            found = get_collection(session, collection)
            rows = load_hits(session, passage_ids_of_document(session, document_id))
        started = time.perf_counter()
        vector = self._embedder.embed([question])[0]
        return SearchResult(
            hits=tuple(_hit(row, HitScores()) for row in rows.values()),
            collection=found,
            change_id=self._indexes.get(found).refresh(),
            vector=vector,
            timings_ms={"embed": (time.perf_counter() - started) * 1000},
        )

    def _check(self, question: str, top_k: int) -> None:
        if not question.strip():
            raise InvalidInput("The question is empty; ask something.")
        check_plain_text(question)
        if len(question) > self._max_question_chars:
            raise LimitExceeded(
                f"The question has {len(question)} characters; at most {self._max_question_chars} are allowed.",
                setting="max_question_chars",
            )
        if top_k < 1:
            raise InvalidInput(f"top_k is {top_k}; it must be at least 1.")
        if top_k > self._max_top_k:
            raise LimitExceeded(f"top_k is {top_k}; at most {self._max_top_k} is allowed.", setting="max_top_k")

    def _load(self, ranked: list[tuple[int, HitScores]], top_k: int) -> tuple[Hit, ...]:
        """The first ``top_k`` hits with their text; the same words in a near duplicate are folded into the first."""
        with self._database.read() as session:
            hits: dict[tuple[int, str], Hit] = {}
            # Half as many again as needed: folding leaves gaps, and the rest is only loaded if there are too many.
            for start in range(0, len(ranked), batch := top_k + top_k // 2 + 1):
                part = ranked[start : start + batch]
                rows = load_hits(session, [passage_id for passage_id, _ in part])
                for passage_id, scores in part:
                    if passage_id in rows:
                        _fold(hits, _hit(rows[passage_id], scores), full=len(hits) >= top_k)
                if len(hits) >= top_k:
                    break
        return tuple(hits.values())


def _hit(row: PassageRow, scores: HitScores) -> Hit:
    return Hit(
        passage_id=row.passage_id,
        document_id=row.document_id,
        document_version=row.document_version,
        title=row.title,
        source=row.source,
        headings=row.headings,
        page=row.page,
        row=row.row,
        start=row.start,
        end=row.end,
        text=row.text,
        scores=scores,
        near_duplicate_of=row.near_duplicate_of,
        also_in=row.also_in,
    )


def _fold(hits: dict[tuple[int, str], Hit], hit: Hit, *, full: bool) -> None:
    """Add a hit, or note on an earlier one that a document of its group has the same words.

    Only the same words fold: passages that differ in a number, a date or a negation stay apart.
    """
    group = hit.near_duplicate_of or hit.document_id
    key = (group, normalized_sha256(hit.text))
    first = hits.get(key)
    if first is None:
        if not full:
            hits[key] = hit
    elif first.document_id != hit.document_id:
        here = DocumentReference(document_id=hit.document_id, title=hit.title, source=hit.source)
        hits[key] = replace(first, also_in=(*first.also_in, here, *hit.also_in))
