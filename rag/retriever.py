"""The retriever: a question in, the passages that may answer it out, with every score."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.config import Settings
from rag.errors import InvalidInput, LimitExceeded
from rag.index.embedders import Embedders
from rag.index.fusion import Ranking
from rag.index.search_engine import SearchEngine
from rag.records import OWNER, Caller, DocumentReference, Fusion, Hit, HitScores, SearchMode, SearchOptions
from rag.store.collections import Collection, get_collection
from rag.store.column_types import check_plain_text
from rag.store.database import Database
from rag.store.filters import Filters
from rag.store.found_passages import PassageRow, load_hits
from rag.store.index_changes import last_change_id
from rag.store.passages import passage_ids_of_document
from rag.store.repeated_passages import repeated_passage_ids
from rag.text.clean import normalized_sha256

RELEVANCE_WEIGHT = 1.7
"""What the reader's relevance counts beside the fused score where hits are reranked; both lie between 0 and 1.

Chosen on SQuAD *train* and on SciFact's *train* split, see docs/retrieval.md.
"""
AS_SET = SearchOptions()
"""Everything as the settings have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Search options with nothing left open."""

    mode: SearchMode
    fusion: Fusion
    keyword_weight: float
    candidates: int
    rerank: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Hits, best first, and what is needed to log how they were found.

    ``change_id`` is the last index change that the search saw; ``vector`` is the question's unit vector; ``settings``
    is how it searched, with nothing left open; ``query_weights`` among them is the number type of the model's weights.
    """

    hits: tuple[Hit, ...]
    collection: Collection
    change_id: int
    vector: NDArray[np.float16]
    settings: Mapping[str, object]
    timings_ms: Mapping[str, float]


class Reranker(Protocol):
    """What judges passages by reading them with the question."""

    def __call__(self, question: str, hits: Sequence[Hit], /) -> Sequence[float]:
        """How likely each passage holds an answer, 0 to 1."""
        ...


class Retriever:
    """Hybrid search over one database. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        embedders: Embedders,
        indexes: SearchEngine,
        reranker: Reranker,
        settings: Settings,
    ) -> None:
        """``settings`` say what a search does where its options leave it open, and its limits."""
        self._database, self._embedders, self._indexes = database, embedders, indexes
        self._reranker, self._settings = reranker, settings

    def search(
        self,
        question: str,
        *,
        collection: str,
        top_k: int,
        options: SearchOptions = AS_SET,
        filters: Filters | None = None,
        caller: Caller = OWNER,
    ) -> SearchResult:
        """Find the ``top_k`` best passages of a collection among those that ``caller`` may see.

        Filters (see ``rag.store.filters``) and access labels are applied inside both searches, so a selective filter
        still gets its full ``top_k``, and nothing that is not for the caller can be told from what is found.

        Raises:
            InvalidInput: the question is empty or cannot be stored, the filter is malformed, ``top_k`` or an option is
                out of its range, or the collection's embedding model is not on this machine.
            LimitExceeded: the question is too long, or ``top_k`` or ``candidates`` too large.
            NotFound: there is no such collection, or ``caller`` may not know of it.
        """
        self._check(question, top_k)
        wanted = self._filled(options)
        with self._database.read() as session:
            found = get_collection(session, collection, caller=caller)
            newest = last_change_id(session, found.id)
        index = self._indexes.get(found)
        started = time.perf_counter()
        embedder = self._embedders.get(found.embedding_model)
        vector = embedder.embed_query(question)
        embedded = time.perf_counter()
        change_id = index.refresh(newest)
        search = index.searcher(filters or {}, caller)
        hits = self._find(
            lambda candidates: search(
                question,
                vector,
                mode=wanted.mode,
                candidates=candidates,
                keyword_weight=wanted.keyword_weight,
                fusion=wanted.fusion,
            ),
            found.id,
            candidates=max(wanted.candidates, top_k),
            num_hits=max(top_k, self._settings.num_reranked) if wanted.rerank else top_k,
            caller=caller,
        )
        retrieved = time.perf_counter()
        timings = {"embed": (embedded - started) * 1000, "retrieve": (retrieved - embedded) * 1000}
        if wanted.rerank:
            hits = self._rerank(question, hits)[:top_k]
            timings["rerank"] = (time.perf_counter() - retrieved) * 1000
        return SearchResult(
            hits=hits,
            collection=found,
            change_id=change_id,
            vector=vector,
            settings={**asdict(wanted), "query_weights": embedder.query_weights},
            timings_ms=timings,
        )

    def _rerank(self, question: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """The first hits by their fused score and their relevance together, then the rest.

        A reader trained on questions is unsure of claims and key words; what the search knows of them stays.
        """
        num = self._settings.num_reranked
        judged = zip(hits[:num], self._reranker(question, hits[:num]), strict=True)
        first = [replace(hit, scores=replace(hit.scores, relevance=relevance)) for hit, relevance in judged]
        return (*sorted(first, key=lambda hit: -_fused_and_relevant(hit.scores)), *hits[num:])

    def _filled(self, options: SearchOptions) -> _Wanted:
        """The options with the defaults in their gaps. Raises InvalidInput or LimitExceeded: one is out of range."""
        defaults = self._settings
        wanted = _Wanted(
            mode=options.mode,
            **{
                name: getattr(defaults if getattr(options, name) is None else options, name)
                for name in ("fusion", "keyword_weight", "candidates", "rerank")
            },
        )
        if not 0 <= wanted.keyword_weight <= 1:
            raise InvalidInput(
                f"The weight of the keyword leg is {wanted.keyword_weight}; it must lie between 0 and 1."
            )
        if wanted.candidates < 1:
            raise InvalidInput(f"candidates is {wanted.candidates}; it must be at least 1.")
        if (options.candidates or 0) > defaults.max_candidates:
            raise LimitExceeded(
                f"candidates is {wanted.candidates}; at most {defaults.max_candidates} are allowed.",
                setting="max_candidates",
            )
        return wanted

    @property
    def max_question_chars(self) -> int:
        """The longest question."""
        return self._settings.max_question_chars

    @property
    def conditions(self) -> Mapping[str, object]:
        """How it searches where options leave everything open, by the names that the log has for it."""
        return self.conditions_with(AS_SET)

    def conditions_with(self, options: SearchOptions) -> Mapping[str, object]:
        """How it searches with these options, by the names that the log has for it.

        Raises:
            InvalidInput, LimitExceeded: an option is out of its range.
        """
        return {**asdict(self._filled(options)), "num_reranked": self._settings.num_reranked}

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
        vector = self._embedders.get(found.embedding_model).embed_query(question)
        return SearchResult(
            hits=tuple(hit_of(row, HitScores()) for row in rows.values()),
            collection=found,
            change_id=self._indexes.get(found).refresh(),
            vector=vector,
            settings={},
            timings_ms={"embed": (time.perf_counter() - started) * 1000},
        )

    def _check(self, question: str, top_k: int) -> None:
        if not question.strip():
            raise InvalidInput("The question is empty; ask something.")
        check_plain_text(question)
        if len(question) > (limit := self._settings.max_question_chars):
            raise LimitExceeded(
                f"The question has {len(question)} characters; at most {limit} are allowed.",
                setting="max_question_chars",
            )
        if top_k < 1:
            raise InvalidInput(f"top_k is {top_k}; it must be at least 1.")
        if top_k > (limit := self._settings.max_top_k):
            raise LimitExceeded(f"top_k is {top_k}; at most {limit} is allowed.", setting="max_top_k")

    def _find(
        self, search: Callable[[int], Ranking], collection_id: int, *, candidates: int, num_hits: int, caller: Caller
    ) -> tuple[Hit, ...]:
        """The first ``num_hits`` hits of ``search``, which takes a number of candidates.

        A thousand copies of one footer would take the places of all other candidates and then become one hit. So where
        too few hits are left, the search is made wider by the number of the copies, and these are passed over.
        """
        ranking = search(candidates)
        folded = self._load(ranking, num_hits, caller)
        seen, copies = set(ranking.passage_ids), set[int]()
        while len(folded.hits) < num_hits and folded.repeated:
            with self._database.read() as session:
                more = repeated_passage_ids(session, collection_id, folded.repeated)
            if more <= copies:
                break
            copies |= more
            # Those that were found at first are kept: they are named in the hit.
            ranking = search(candidates + len(copies)).without(copies - seen)
            folded = self._load(ranking, num_hits, caller)
        return tuple(folded.hits)

    def _load(self, ranking: Ranking, top_k: int, caller: Caller) -> "_Folded":
        """The first ``top_k`` hits with their text; the same words elsewhere are folded into the first of them."""
        folded = _Folded()
        with self._database.read() as session:
            # Half as many again as needed: folding leaves gaps, and the rest is only loaded if there are too many.
            for start in range(0, len(ranking), batch := top_k + top_k // 2 + 1):
                part = ranking.passage_ids[start : start + batch]
                rows = load_hits(session, part, caller=caller)
                for passage_id, scores in ranking.scored(part):
                    if passage_id in rows:
                        row = rows[passage_id]
                        folded.put(
                            hit_of(row, scores),
                            full=len(folded.hits) >= top_k,
                            text_sha256=row.text_sha256 or normalized_sha256(row.text),
                            is_repeated=row.is_repeated,
                        )
                if len(folded.hits) >= top_k:
                    break
        return folded


def _fused_and_relevant(scores: HitScores) -> float:
    return (scores.fused or 0.0) + RELEVANCE_WEIGHT * (scores.relevance or 0.0)


def hit_of(row: PassageRow, scores: HitScores) -> Hit:
    """A passage as a hit."""
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
    """Hits in their order, the same words in near duplicates of each other, or repeated ones, folded into the first.

    Only the same words fold: passages that differ in a number, a date or a negation stay apart. Repeated passages fold
    whatever their documents have to do with each other.
    """

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.repeated: dict[str, int] = {}
        """Where among them the repeated passages are, by the hash of their words."""
        self._with_words: dict[str, list[int]] = defaultdict(list)

    def put(self, hit: Hit, *, full: bool, text_sha256: str, is_repeated: bool) -> None:
        """Add a hit unless it is ``full``, or note on an earlier one where the same words stand as well.

        ``text_sha256`` is the hash of its words.
        """
        places = self._with_words[text_sha256]
        place = self.repeated.get(text_sha256) if is_repeated else None
        if place is None:
            place = next((place for place in places if _are_near(self.hits[place], hit)), None)
        if place is not None:
            self.hits[place] = _also_in(self.hits[place], hit)
        elif not full:
            if is_repeated:
                self.repeated[text_sha256] = len(self.hits)
            places.append(len(self.hits))
            self.hits.append(hit)


def _also_in(first: Hit, hit: Hit) -> Hit:
    """The first hit with the documents of the other among those that hold its words, each once."""
    here = DocumentReference(document_id=hit.document_id, title=hit.title, source=hit.source, origin=hit.origin)
    known = {first.document_id, *(other.document_id for other in first.also_in)}
    more = tuple(other for other in (here, *hit.also_in) if other.document_id not in known)
    return replace(first, also_in=(*first.also_in, *more)) if more else first


def _are_near(first: Hit, second: Hit) -> bool:
    """Whether one document nearly repeats the other, or both the same third one."""
    return bool({first.document_id, first.near_duplicate_of} & {second.document_id, second.near_duplicate_of} - {None})
