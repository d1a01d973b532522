"""The main path: retrieve, generate, decide, score, log. Each step of ``Answerer.ask`` is one of the README's."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from rag.errors import Busy, StoreUnavailable
from rag.generators.generator import Generation, Generator
from rag.observer import NOBODY, Observer
from rag.records import OWNER, Answer, Caller, Hit, SearchOptions
from rag.retriever import AS_SET, Retriever, SearchResult
from rag.scoring.scorer import Judged, Scorer
from rag.store.answers import NewAnswer, Score, get_answer, insert_answer
from rag.store.database import Database
from rag.store.filters import Filters

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """How a question is to be answered.

    abstain: withhold answers whose abstention score is below the threshold.
    caller: who asks; nothing is read that they may not see.
    evaluation_run_id: the evaluation that asks; its answers stay out of the review views.
    """

    top_k: int
    filters: Filters
    search: SearchOptions = AS_SET
    abstain: bool = True
    caller: Caller = OWNER
    evaluation_run_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """An answer before it is logged; ``generation.answer`` is there also where it is to be withheld."""

    question: str
    found: SearchResult
    options: AskOptions
    generation: Generation
    abstained: bool
    hits: tuple[Hit, ...]
    scores: tuple[Score, ...]
    timings_ms: Mapping[str, float]


class Answerer:
    """Answers questions and logs every one of them. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        retriever: Retriever,
        generator: Generator,
        scorers: Sequence[Scorer],
        *,
        abstain_below: float | None,
        max_concurrent: int,
        observer: Observer = NOBODY,
    ) -> None:
        """``abstain_below`` None takes the generator's own threshold; ``max_concurrent`` questions may be in work."""
        self._observer = observer
        self._database, self._retriever, self._generator, self._scorers = database, retriever, generator, scorers
        self._abstain_below = generator.abstain_below if abstain_below is None else abstain_below
        self._counting, self.num_in_work = threading.Lock(), 0
        self._places = threading.BoundedSemaphore(max_concurrent)
        self._generating: AbstractContextManager[object] = (
            threading.Lock() if generator.one_at_a_time else nullcontext()
        )

    def ask(self, question: str, *, collection: str, options: AskOptions) -> Answer:
        """Answer a question from a collection.

        Raises:
            InvalidInput: the question or an option is wrong; see ``Retriever.search``.
            NotFound: there is no such collection.
            Busy: ``max_concurrent_answers`` questions are in work already.
            GeneratorUnavailable: the model that writes answers is on a server that does not answer.
            StoreUnavailable: the answer cannot be logged. An answer that is not logged is not given.
        """
        with self._place():
            with self._observer.step("retrieve"):
                found = self._retriever.search(
                    question,
                    collection=collection,
                    top_k=options.top_k,
                    options=options.search,
                    filters=options.filters,
                    caller=options.caller,
                )
            return self.answer_from(question, found, options=options)

    def answer_from(self, question: str, found: SearchResult, *, options: AskOptions) -> Answer:
        """Answer a question from hits that are there already."""
        return self.log(self.consider(question, found, options=options))

    def consider(self, question: str, found: SearchResult, *, options: AskOptions) -> Considered:
        """Generate, decide whether to abstain, and score; nothing is logged yet."""
        started = time.perf_counter()
        with self._observer.step("generate"), self._generating:
            generation = self._generator.generate(question, found.hits)
        generated = time.perf_counter()
        hits = _by_relevance(found.hits, generation)
        judged = Judged(
            question=question,
            embedding_model=found.collection.embedding_model,
            question_vector=found.vector,
            citations=generation.citations,
            confidence=generation.confidence,
            answerability=generation.answerability,
            hits=hits,
        )
        with self._observer.step("score"):
            scores = self._score(judged)
        scored = time.perf_counter()
        return Considered(
            question=question,
            found=found,
            options=options,
            generation=generation,
            abstained=not generation.answer or (options.abstain and self.would_abstain(generation)),
            hits=hits,
            scores=scores,
            timings_ms={
                **found.timings_ms,
                "read": (generated - started) * 1000,
                "score": (scored - generated) * 1000,
            },
        )

    @property
    def conditions(self) -> Mapping[str, object]:
        """What its answers depend on beside question, passages and options, by the names that the log has for it."""
        return {
            "model": self._generator.name,
            "model_sha256": self._generator.weights_sha256,
            "abstain_below": self._abstain_below,
            **self._generator.settings,
        }

    def check(self) -> None:
        """See whether the generator could answer now; raises GeneratorUnavailable where it could not."""
        self._generator.check()

    def would_abstain(self, generation: Generation) -> bool:
        """Whether this answer is to be withheld where abstaining is on."""
        return not generation.answer or generation.abstention_score < self._abstain_below

    def log(self, considered: Considered) -> Answer:
        """Log an answer and return it as logged.

        Raises:
            StoreUnavailable: it cannot be logged. That is counted and told in the server's log as well.
        """
        try:
            with self._observer.step("log"), self._database.write(soon=True) as session:
                answer = get_answer(session, insert_answer(session, self.to_log(considered))).answer
        except StoreUnavailable as error:
            self._observer.ended("not_logged", {})
            log.error("An answer could not be logged and is not given: %s", error)
            raise
        self._observer.ended("abstained" if answer.abstained else "answered", answer.timings_ms)
        return answer

    def to_log(self, considered: Considered) -> NewAnswer:
        """What is logged of an answer. A withheld one is logged as empty, with all its passages."""
        generation, found, options = considered.generation, considered.found, considered.options
        return NewAnswer(
            collection_id=found.collection.id,
            question=considered.question,
            answer="" if considered.abstained else generation.answer,
            abstained=considered.abstained,
            confidence=generation.confidence,
            citations=() if considered.abstained else generation.citations,
            passages=considered.hits,
            scores=considered.scores,
            model=generation.model or self._generator.name,
            model_sha256=self._generator.weights_sha256,
            embedding_model=found.collection.embedding_model,
            index_change_id=found.change_id,
            settings={
                "top_k": options.top_k,
                "filters": dict(options.filters),
                "abstain": options.abstain,
                "abstain_below": self._abstain_below,
                **found.settings,
                **self._generator.settings,
                **generation.details,
            },
            confidence_kind=generation.confidence_kind,
            spans=() if considered.abstained else generation.spans,
            unsupported=() if considered.abstained else generation.unsupported,
            timings_ms={**considered.timings_ms, "total": sum(considered.timings_ms.values())},
            caller=options.caller,
            evaluation_run_id=options.evaluation_run_id,
        )

    def _score(self, judged: Judged) -> tuple[Score, ...]:
        values = [(scorer, scorer.score(judged)) for scorer in self._scorers]
        return tuple(
            Score(metric=scorer.metric, value=value, scorer="rag", scorer_version=scorer.version)
            for scorer, value in values
            if value is not None
        )

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            self._observer.ended("busy", {})
            raise Busy("Too many questions are in work; try again in a moment (setting: max_concurrent_answers).")
        with self._counting:
            self.num_in_work += 1
        try:
            yield
        finally:
            with self._counting:
                self.num_in_work -= 1
            self._places.release()


def _by_relevance(hits: Sequence[Hit], generation: Generation) -> tuple[Hit, ...]:
    """The hits that were read, with their relevance and most relevant first where the generator judged it."""
    if generation.relevance is None:
        return tuple(hits[: generation.num_read])
    judged = [
        replace(hit, scores=replace(hit.scores, relevance=relevance))
        for hit, relevance in zip(hits, generation.relevance, strict=True)
    ]
    return tuple(sorted(judged, key=lambda hit: -(hit.scores.relevance or 0.0)))
