"""The retriever: a question in, the passages that may answer it out, with every score."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rag.errors import InvalidInput, LimitExceeded
from rag.index.allowed_ids import AllowedIds
from rag.index.collection_index import CollectionIndex
from rag.index.embedders import Embedders
from rag.index.filter_cache import FilterCache
from rag.index.index_set import IndexSet
from rag.records import OWNER, Caller, DocumentReference, Hit, HitScores, SearchMode
from rag.store.collections import Collection, get_collection, get_collection_by_id
from rag.store.column_types import check_plain_text
from rag.store.database import Database
from rag.store.filters import Filters, check_size
from rag.store.passages import (
    PassageRow,
    document_ids_matching,
    load_hits,
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
        embedders: Embedders,
        indexes: IndexSet,
        *,
        num_candidates: int,
        keyword_weight: float,
        max_top_k: int,
        max_question_chars: int,
    ) -> None:
        self._database, self._embedders, self._indexes = database, embedders, indexes
        self._num_candidates, self._keyword_weight = num_candidates, keyword_weight
        self._max_top_k, self._max_question_chars = max_top_k, max_question_chars
        self._filters = FilterCache()

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
        filters: Filters | None = None,
        caller: Caller = OWNER,
    ) -> SearchResult:
        """Find the ``top_k`` best passages of a collection among those that ``caller`` may see.

        Filters (see ``rag.store.filters``) and access labels are applied inside both searches, so a selective filter
        still gets its full ``top_k``, and nothing that is not for the caller can be told from what is found.

        Raises:
            InvalidInput: the question is empty or cannot be stored, the filter is malformed, ``top_k`` is below 1, or
                the collection's embedding model is not on this machine.
            LimitExceeded: the question is too long, or ``top_k`` too large.
            NotFound: there is no such collection.
        """
        self._check(question, top_k)
        with self._database.read() as session:
            found = get_collection(session, collection)
        index = self._indexes.get(found)
        started = time.perf_counter()
        vector = self._embedders.get(found.embedding_model).embed([question])[0]
        embedded = time.perf_counter()
        change_id = index.refresh()
        allowed = self._allowed(index, found, filters or {}, caller)
        ranked = index.search(
            question,
            vector,
            mode=mode,
            num_candidates=max(self._num_candidates, top_k),
            keyword_weight=self._keyword_weight,
            allowed=allowed,
        )
        hits = self._load(ranked, top_k, caller)
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
        vector = self._embedders.get(found.embedding_model).embed([question])[0]
        return SearchResult(
            hits=tuple(_hit(row, HitScores()) for row in rows.values()),
            collection=found,
            change_id=self._indexes.get(found).refresh(),
            vector=vector,
            timings_ms={"embed": (time.perf_counter() - started) * 1000},
        )

    def _allowed(
        self, index: CollectionIndex, collection: Collection, filters: Filters, caller: Caller
    ) -> AllowedIds | None:
        """The passages that a search may find; None for all."""
        if not filters and caller.access_labels is None:
            return None
        check_size(filters)
        labels = None if caller.access_labels is None else tuple(sorted(caller.access_labels))
        with self._database.read() as session:
            # The collection as it is now: its revision says whether what was found out before still holds.
            revision = get_collection_by_id(session, collection.id).revision
            # The filter as it was written: 1, 1.0 and true are equal to Python, and mean different things.
            key, state = (collection.id, json.dumps(filters, default=str), labels), (revision, index.change_id)
            allowed = self._filters.get(key, state)
            if allowed is None:
                allowed = index.allowed(document_ids_matching(session, collection.id, filters, caller=caller))
                self._filters.put(key, state, allowed)
        return allowed

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

    def _load(self, ranked: list[tuple[int, HitScores]], top_k: int, caller: Caller) -> tuple[Hit, ...]:
        """The first ``top_k`` hits with their text; the same words in a near duplicate are folded into the first."""
        folded = _Folded()
        with self._database.read() as session:
            # Half as many again as needed: folding leaves gaps, and the rest is only loaded if there are too many.
            for start in range(0, len(ranked), batch := top_k + top_k // 2 + 1):
                part = ranked[start : start + batch]
                rows = load_hits(session, [passage_id for passage_id, _ in part], caller=caller)
                for passage_id, scores in part:
                    if passage_id in rows:
                        folded.put(_hit(rows[passage_id], scores), full=len(folded.hits) >= top_k)
                if len(folded.hits) >= top_k:
                    break
        return tuple(folded.hits)


def _hit(row: PassageRow, scores: HitScores) -> Hit:
    return Hit(
        passage_id=row.passage_id,
        document_id=row.document_id,
        document_version=row.document_version,
        title=row.title,
        source=row.source,
        origin=row.origin,
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


class _Folded:
    """Hits in their order, the same words in near duplicates of each other folded into the first.

    Only the same words fold: passages that differ in a number, a date or a negation stay apart.
    """

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self._with_words: dict[str, list[int]] = defaultdict(list)

    def put(self, hit: Hit, *, full: bool) -> None:
        """Add a hit unless it is ``full``, or note on an earlier one that a near duplicate has the same words."""
        places = self._with_words[normalized_sha256(hit.text)]
        for place in places:
            first = self.hits[place]
            if _are_near(first, hit):
                if first.document_id != hit.document_id:
                    here = DocumentReference(
                        document_id=hit.document_id, title=hit.title, source=hit.source, origin=hit.origin
                    )
                    self.hits[place] = replace(first, also_in=(*first.also_in, here, *hit.also_in))
                return
        if not full:
            places.append(len(self.hits))
            self.hits.append(hit)


def _are_near(first: Hit, second: Hit) -> bool:
    """Whether one document nearly repeats the other, or both the same third one."""
    return bool({first.document_id, first.near_duplicate_of} & {second.document_id, second.near_duplicate_of} - {None})
